/** What looks like a secret leaves no log, wherever it goes and whatever brought it in. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { createLogger, fileDestination } from '../../lib/log/index.ts'

const HASH = '*0123456789ABCDEF0123456789ABCDEF01234567'

let scratch: string
let files = 0
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'secret-shapes-'))
})
afterAll(() => rmSync(scratch, { recursive: true }))

const logged = async (pretty: boolean, facts: object, message = 'said'): Promise<string> => {
  files += 1
  const path = join(scratch, `${files}.log`)
  const destination = fileDestination(path)
  const log = await createLogger({ level: 'trace', name: 'test', pretty, destination })
  log.info(facts, message)
  await destination.close()
  return readFileSync(path, 'utf8')
}

describe.each([
  ['as JSON', false],
  ['on a terminal', true],
])('%s', (_, pretty) => {
  test.each([
    ['a hash in a field', { line: `GRANT x TO a IDENTIFIED BY PASSWORD '${HASH}'` }, 'said'],
    ['a hash in the message', {}, `the server said ${HASH}`],
    ['a hash in lower case, deep in an object', { deep: { deeper: [HASH.toLowerCase()] } }, 'said'],
    ['what follows IDENTIFIED BY', { line: "CREATE USER a IDENTIFIED  BY '0123456789ABCDEF'" }, 'said'],
    ['what follows IDENTIFIED VIA', { line: 'a IDENTIFIED\tVIA ed25519 USING "0123456789ABCDEF" OR x' }, 'said'],
    ['what follows identified with, with quotes in it', { line: 'identified with "\\"0123456789ABCDEF' }, 'said'],
    ['a field called password', { password: '0123456789ABCDEF' }, 'said'],
    ['a field called token, below', { request: { token: '0123456789ABCDEF' } }, 'said'],
  ])('%s is not shown', async (_what, facts, message) => {
    const text = await logged(pretty, { ...facts, after: 'still there' }, message)

    expect(text).toContain('[redacted]')
    expect(text.toUpperCase()).not.toContain('0123456789ABCDEF')
    expect(text).toContain('still there')
    if (!pretty) expect(() => JSON.parse(text)).not.toThrow()
  })

  test('nothing of a value moves the cursor', async () => {
    const text = await logged(pretty, { name: 'a\u001b[2Jb\u0007\u009b1m' }, 'c\u001b]0;evil\u0007\rd\u0000')

    // Its own colours are there, and nothing but them.
    const rest = text.replace(/\u001b\[\d*m/g, '')
    expect(rest).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
    expect(text).not.toContain('\u001b[2J')
  })
})
