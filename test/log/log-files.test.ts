/** A log file: appended to, begun anew when it was moved away, and never a reason to stop. */

import {
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import {
  createLogger,
  descriptorDestination,
  fileDestination,
  readLogTarget,
  patientFileDestination,
} from '../../lib/log/index.ts'
import { mustRun } from '../rig/run-program.ts'

let scratch: string
let path: string
let nowMs: number
let files = 0
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'log-files-'))
})
afterAll(() => rmSync(scratch, { recursive: true }))
beforeEach(() => {
  files += 1
  path = join(scratch, `${files}.log`)
  nowMs = 0
})
const clock = (): number => nowMs

const later = (): void => {
  nowMs += 1_000
}

test('is made for its owner and group, and appended to', async () => {
  for (const word of ['one\n', 'two\n']) {
    const log = fileDestination(path)
    log.write(word)
    await log.close()
  }

  expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n')
  expect(statSync(path).mode & 0o777 & ~process.umask()).toBe(0o640 & ~process.umask())
})

test.each([
  ['moved away', () => renameSync(path, `${path}.1`)],
  ['removed', () => unlinkSync(path)],
  [
    'replaced, as logrotate does with "create"',
    () => {
      renameSync(path, `${path}.1`)
      writeFileSync(path, '')
    },
  ],
])('%s, it is begun anew within a second, and nobody has to be told', (_, rotate) => {
  const log = fileDestination(path, clock)
  log.write('old\n')

  rotate()
  later()
  log.write('new\n')

  expect(readFileSync(path, 'utf8')).toBe('new\n')
})

test('told that it was moved away, it is begun anew at once', () => {
  const log = fileDestination(path, clock)
  log.write('old\n')

  renameSync(path, `${path}.1`)
  log.reopen()
  log.write('new\n')

  expect(readFileSync(path, 'utf8')).toBe('new\n')
})

test('moved away where no new one can be made, the old one goes on', () => {
  const log = fileDestination(path, clock)
  renameSync(path, `${path}.1`)
  symlinkSync('/dev/null', path)
  later()

  log.write('still here\n')

  expect(readFileSync(`${path}.1`, 'utf8')).toBe('still here\n')
})

test.each([
  ['a symbolic link', () => symlinkSync(join(scratch, 'elsewhere'), path), 'it is a symbolic link'],
  ['a directory that is not there', () => (path = join(path, 'a.log')), 'ENOENT'],
  ['a device', () => (path = '/dev/null'), 'it is not a file'],
])('refuses %s', (_, prepare, why) => {
  prepare()

  expect(() => fileDestination(path)).toThrow(
    expect.objectContaining({ code: 'LOG_DESTINATION', message: `cannot log to ${path}: ${why}` }),
  )
  expect(existsSync(join(scratch, 'elsewhere'))).toBe(false)
})

test('refuses a FIFO, and does not wait for its reader', async () => {
  await mustRun('mkfifo', [path])

  expect(() => fileDestination(path)).toThrow(expect.objectContaining({ code: 'LOG_DESTINATION' }))
})

test('one that cannot be opened is tried again by the patient, once a second, and says what was lost', () => {
  symlinkSync(join(scratch, 'nowhere'), path)
  const log = patientFileDestination(path, clock)
  log.write('lost\n')
  unlinkSync(path)
  log.write('lost too\n')
  later()

  log.write('found\n')

  expect(readFileSync(path, 'utf8')).toBe('\n{"level":"warn","msg":"2 log lines before this one were lost"}\nfound\n')
})

test('a full disk loses lines and throws nothing', () => {
  const log = descriptorDestination(openSync('/dev/full', 'w'))

  expect(() => log.write('one\n')).not.toThrow()
})

test('what a terminal would obey is escaped, and stays the same for who reads JSON', async () => {
  const log = await createLogger({ level: 'info', name: 'test', destination: fileDestination(path) })
  const odd = 'a\u001b[31mb\u009b31mc\u007fd\u2028e\nf'

  log.info({ odd }, odd)

  const text = readFileSync(path, 'utf8')
  expect(text.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028]/)
  expect(JSON.parse(text)).toMatchObject({ odd, msg: odd })
})

describe('the option', () => {
  test.each(['stderr', 'journal', 'syslog', 'none'])('knows %s', (kind) => {
    expect(readLogTarget(kind)).toEqual({ kind })
  })

  test('knows a file by its absolute path', () => {
    expect(readLogTarget('file:/var/log/a.log')).toEqual({ kind: 'file', path: '/var/log/a.log' })
  })

  test.each(['', 'stdout', 'file:', 'file:a.log', '/var/log/a.log', 'Syslog'])('refuses "%s"', (text) => {
    expect(readLogTarget(text)).toBeUndefined()
  })
})
