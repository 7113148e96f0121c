/**
 * Every place in lib that opens, makes, renames or removes something by its name, and why nobody else can stand in
 * its way there. A new one needs a line here: that is what this test is for.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'

import { blankOut } from '../walls-source.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** How a file can be reached by its name, so that a link in its place would be followed or something replaced. */
const BY_NAME =
  /\b(open|openSync|mkdir|mkdirSync|mkdtemp|mkdtempSync|rename|renameSync|link|linkSync|symlink|writeFile|writeFileSync|appendFile|copyFile|createWriteStream|createReadStream|rm|rmSync|rmdir|unlink|chmod|chown|truncate)\(/g

const OWN = 'in the state directory: 0700 and ours, looked at when it is opened'

/** The file, and why it is safe. */
const PLACES: Readonly<Record<string, string>> = {
  'lib/agent/listener-inherited.ts': '/dev/null',
  'lib/agent/runtime-directory.ts':
    'mkdtemp: a random name, 0700, in a directory that was looked at; rmdir of ones of ours with sockets of ours alone',
  'lib/archive/target-directory.ts': 'O_EXCL, O_NOFOLLOW, each step from the descriptor of the one above it',
  'lib/certificates/private-authority.ts': 'O_EXCL, in the directory that the operator has named; made 0700',
  'lib/certificates/trusted-file.ts': 'keys: O_NOFOLLOW, owner and mode; certificates: what the operator has named',
  'lib/cli/client-descriptors.ts': '/dev/null',
  'lib/cli/record-command.ts': 'O_NOFOLLOW; the operator’s own choice: made new, or a plain file replaced',
  'lib/cli/secret-file.ts': 'reads what its own user has named, and looks at its mode',
  'lib/client/archive-file.ts': 'reads what the operator has named',
  'lib/client/increment-directory.ts': 'mkdir, which refuses what is there; beside the operator’s own target',
  'lib/client/part-file.ts': 'O_EXCL and O_NOFOLLOW, link or rename; beside the operator’s own target',
  'lib/client/receipt-file.ts': 'reads what the operator has named',
  'lib/client/staging-directory.ts': 'mkdir, which refuses what is there; beside the operator’s own target',
  'lib/config/config-file.ts': 'O_NOFOLLOW; owner, mode and way are looked at',
  'lib/doctor/data-directory.ts': 'opens the server’s files for reading and reads nothing',
  'lib/engines/binary-logs.ts': 'O_NOFOLLOW, names from the server’s own list',
  'lib/engines/child-output.ts':
    'a socket with a random name in the runtime directory, 0700 and ours; gone again before anything is said on it',
  'lib/engines/option-file.ts':
    'O_EXCL, O_NOFOLLOW and a random name in the runtime directory; the operator’s own file: owner, mode, way',
  'lib/engines/read-unchanged.ts': 'O_NOFOLLOW, in the directory that the operator has named',
  'lib/engines/server-lock.ts': `O_NOFOLLOW, owner and mode are looked at; ${OWN}`,
  'lib/history/next-generation.ts': OWN,
  'lib/history/private-directory.ts': 'mkdir, 0700; owner and mode of what is above are looked at',
  'lib/history/server-debts.ts': `O_NOFOLLOW; ${OWN}`,
  'lib/history/state-directory.ts': `O_NOFOLLOW, owner and mode are looked at; ${OWN}`,
  'lib/log/file-destination.ts': 'O_NOFOLLOW; owner and mode are looked at',
  'lib/scratch/scratch-disk.ts':
    'for scratch-directory.ts: O_TMPFILE, else O_EXCL and a random name; the directory was looked at',
  'lib/server/read-login.ts': 'the operator’s own file: owner, mode and way are looked at',
  'lib/tokens/change-tokens.ts':
    'O_EXCL and O_NOFOLLOW, then a rename, in the directory of the tokens, which is the operator’s own',
  'lib/tokens/tokens-file.ts': 'O_NOFOLLOW; owner and mode are looked at',
}

const METHODS = /(\.|#|function |async |static )$/

const openers = (): string[] =>
  readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => join('lib', path))
    .filter((path) => {
      const text = readFileSync(join(ROOT, path), 'utf8')
      if (!/from 'node:fs(\/promises)?'/.test(text) && !text.includes('systemDisk')) return false
      const code = blankOut(text)
      return [...code.matchAll(BY_NAME)].some(({ index }) => !METHODS.test(code.slice(Math.max(0, index - 10), index)))
    })
    .sort()

test('every place that reaches a file by its name is known, and has a reason', () => {
  expect(openers()).toEqual(Object.keys(PLACES).sort())
})

test.each(Object.entries(PLACES).flatMap(([path, why]) => (why.includes('O_NOFOLLOW') ? [[path] as const] : [])))(
  '%s opens without following a link',
  (path) => {
    expect(readFileSync(join(ROOT, path), 'utf8')).toMatch(/O_NOFOLLOW/)
  },
)
