/** The operator's file: TOML, keys, values, instances. It is trusted, and still no mistake in it may look like a bug. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { readConfiguration, SETTING_KEYS } from '../../../lib/config/index.ts'
import { BackupError } from '../../../lib/errors/index.ts'
import { whyNoRefusal } from '../judge.ts'
import { shown, type Target, whole } from '../target.ts'

const EXAMPLE = fileURLToPath(new URL('../../../../bin/packaging/host/agent.toml', import.meta.url))

const VALUES = [
  ...[
    '"127.0.0.1:25300"',
    '"[::1]:0"',
    '"99999"',
    '"auto"',
    '"/run/mysqld/mysqld.sock"',
    '"../x"',
    '"16GiB"',
    '"1e3"',
    '-1',
    '0',
  ],
  ...[
    'true',
    'false',
    '7',
    '1e400',
    'nan',
    '"debug"',
    '[]',
    '["/var/log/mysql"]',
    '[["a"]]',
    '{}',
    '{ a = 1 }',
    '""',
    '"\\u009b"',
  ],
  ...['1979-05-27T07:32:00Z', '9223372036854775807', '"""\na\n"""', "'''x'''", `${'['.repeat(500)}${']'.repeat(500)}`],
]
const TABLES = [
  '[instance.a]',
  '[instance."b c"]',
  '[instance.a]',
  '[allow]',
  '[options.fast]',
  '[role.nightly]',
  '[instance]',
  '[[instance]]',
  '[__proto__]',
  '[instance.constructor]',
]

/** Every line of the example that is commented out stands for what it would be. */
const example = (): Buffer[] => {
  const text = readFileSync(EXAMPLE, 'utf8')
  return [Buffer.from(text), Buffer.from(text.replace(/^#(?=[a-z[])/gm, ''))]
}

let file = ''

export const CONFIGURATION: Target = {
  name: 'configuration',
  side: 'host',
  does: 'the configuration file of the agent, with all its mistakes',
  inputs: 6000,
  quickInputs: 100,
  maxInputBytes: 70_000,
  dictionary: [
    ...SETTING_KEYS,
    ...VALUES,
    ...TABLES,
    ' = ',
    '\n',
    '"',
    "'",
    '[',
    ']',
    '{',
    '}',
    '.',
    '#',
    '\\u0000',
    '\0',
    '\ufeff',
    'args',
    'binlog-directories',
    '__proto__',
    'constructor',
  ],
  isPiecewise: false,
  seeds: example,
  compose: (random) => {
    const line = (): string =>
      `${random.pick([...SETTING_KEYS, '"\\u001b[2J"', 'args', 'binlog-directories', 'actions', 'addresses', 'without-token', 'colour', '__proto__', '"a b"', 'a.b'])} = ${random.pick(VALUES)}`
    const lines = Array.from({ length: random.between(0, 12) }, () =>
      random.next() < 0.2 ? random.pick(TABLES) : line(),
    )
    return Buffer.from(`${lines.join('\n')}\n`)
  },
  open: async () => {
    file = join(mkdtempSync(join(tmpdir(), 'fuzz-configuration-')), 'agent.toml')
  },
  close: async () => rmSync(join(file, '..'), { recursive: true }),
  feed: async (chunks, trace) => {
    writeFileSync(file, whole(chunks), { mode: 0o600 })
    try {
      const { settings, instances } = await readConfiguration({
        options: {},
        environment: {},
        file,
        workingDirectory: '/',
      })
      if (Object.hasOwn(Object.prototype, 'a')) throw new Error('a file has changed the prototype of all objects')
      trace.say(shown([settings, instances]))
      return 'read'
    } catch (error) {
      if (!(error instanceof BackupError) || error.code !== 'CONFIG_INVALID') throw error
      // All of them in one message: it has lines, and is as long as there are many.
      for (const mistake of error.facts['mistakes'] as readonly string[]) {
        const why = whyNoRefusal(new BackupError('CONFIG_INVALID', mistake))
        if (why !== undefined) throw new Error(why, { cause: error })
      }
      return 'mistakes'
    }
  },
}
