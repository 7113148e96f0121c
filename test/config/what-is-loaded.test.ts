import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from '@jest/globals'

import { mustRun } from '../rig/run-program.ts'
import { ConfigurationDirectory } from './configurations.ts'

const CONFIG = fileURLToPath(new URL('../../lib/config/index.js', import.meta.url))
const directory = new ConfigurationDirectory()
afterAll(() => directory.remove())

/** Names every module that Node is asked for. */
const HOOK = 'import{writeSync}from"node:fs";export const resolve=async(s,c,n)=>{writeSync(2,s+"\\n");return n(s,c)}'
const REGISTER = `import{register}from"node:module";register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(HOOK)}`)})`

/** The packages that a process loads to read a configuration. */
const loadedBy = async (file: string | undefined): Promise<string[]> => {
  const program = `
const { readConfiguration } = await import(${JSON.stringify(CONFIG)})
await readConfiguration({ options: {}, environment: {}, workingDirectory: '/', file: ${JSON.stringify(file)}, defaultFile: '/nowhere/x' })
`
  const { stderr } = await mustRun(process.execPath, [
    ...['--no-warnings', '--import', `data:text/javascript,${encodeURIComponent(REGISTER)}`],
    ...['--input-type=module', '--eval', program],
  ])
  const asked = stderr.split('\n')
  return ['valibot', 'smol-toml', 'fastest-levenshtein'].filter((name) => asked.includes(name))
}

test('who has no file pays for no parser and no checker, and who has made no mistake for no guess', async () => {
  expect(await loadedBy(undefined)).toEqual([])
  expect(await loadedBy(directory.file('hang-seconds = 7\n'))).toEqual(['valibot', 'smol-toml'])
})
