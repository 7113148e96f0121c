import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from '@jest/globals'

import { SERVER_KEYS, SETTING_KEYS, type SettingKey, settingOf, TABLES } from '../../lib/config/index.ts'
import { ConfigurationDirectory, mistakesOf, read } from './configurations.ts'

const EXAMPLE = readFileSync(fileURLToPath(new URL('../../../bin/packaging/host/agent.toml', import.meta.url)), 'utf8')
const README = readFileSync(fileURLToPath(new URL('../../../README.md', import.meta.url)), 'utf8')

const directory = new ConfigurationDirectory()
afterAll(() => directory.remove())

/** What one gets by taking away every `#` that hides a key or a heading. */
const uncommented = (text = EXAMPLE, keep: (key: string) => boolean = () => true): string =>
  text.replace(/^#(\[|[a-z-]+ = )/gm, (line, key: string) => (keep(key.replace(' = ', '')) ? key : line))

test('the example is a configuration without a word in it', async () => {
  const file = directory.file(EXAMPLE)

  const { settings, instances, optionSets } = await read({ file })

  expect(Object.values(settings).every(({ source }) => source.from === 'default')).toBe(true)
  expect({ instances, optionSets }).toEqual({ instances: {}, optionSets: {} })
})

test('the example holds every key there is, and everything in it is good', async () => {
  const file = directory.file(uncommented())

  expect(await mistakesOf({ file })).toEqual([])
  const { settings, instances, binlogDirectories, optionSets } = await read({ file })
  for (const key of SETTING_KEYS) expect([key, settings[key].source.from]).toEqual([key, 'file'])
  // One of the two ways to say what a server is.
  for (const key of SERVER_KEYS.filter((one) => one !== 'directory')) {
    expect([key, instances['shop']?.[key].source.from]).toEqual([key, 'file'])
  }
  expect(binlogDirectories.source.from).toBe('file')
  expect(Object.keys(optionSets['replica'] ?? {}).toSorted()).toEqual(Object.keys(TABLES['options.*']).toSorted())
})

test('the example says the defaults as they are', async () => {
  const withDefault = SETTING_KEYS.filter((key) => key !== 'known-as' && settingOf(key).default !== undefined)
  const top = EXAMPLE.slice(0, EXAMPLE.indexOf('\n#['))
  const { settings } = await read({
    file: directory.file(uncommented(top, (key) => withDefault.includes(key as SettingKey))),
  })

  for (const key of withDefault) expect([key, settings[key].value]).toEqual([key, settingOf(key).default])
})

const examples = [...README.matchAll(/```toml\n(.*?)```/gs)].map(
  ([, text = '']) => [text.split('\n')[0], text] as const,
)

test('README shows examples', () => {
  expect(examples.length).toBeGreaterThanOrEqual(3)
})

test.each(examples)('the example in README that begins with %s is good', async (_, text) => {
  expect(await mistakesOf({ file: directory.file(text) })).toEqual([])
})
