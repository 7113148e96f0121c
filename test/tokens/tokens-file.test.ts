import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { addToken, findToken, hashOf, readTokens, revokeToken, type TokenEntry } from '../../lib/tokens/index.ts'
import { readEntry, writeEntry } from '../../lib/tokens/token-entry.ts'
import { mustRun } from '../rig/run-program.ts'

let scratch: string
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'tokens-'))
})
afterAll(() => rmSync(scratch, { recursive: true }))

const CREATED = Date.parse('2026-03-01T02:00:00Z')
const EXPIRES = Date.parse('2026-05-30T02:00:00Z')

const entry = (name: string, more: Partial<TokenEntry> = {}): TokenEntry => ({
  name,
  hash: hashOf(`kvb_${name}`),
  role: 'nightly',
  createdMs: CREATED,
  expiresMs: EXPIRES,
  revokedMs: undefined,
  ...more,
})

let files = 0
const freshPath = (): string => {
  files += 1
  const directory = join(scratch, String(files))
  mkdirSync(directory)
  return join(directory, 'tokens')
}

const MAGIC = '# kv-backup-agent tokens 1\n'
const HASH = `sha256:${'0f'.repeat(32)}`
const LINE = `one ${HASH} nightly 2026-03-01T02:00:00Z - -\n`

const made = (text: string, mode = 0o640): string => {
  const path = freshPath()
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

describe('the file of tokens', () => {
  test('gives back what was added, without the tokens', async () => {
    const path = freshPath()

    await addToken(path, entry('one'))
    await addToken(path, entry('two', { role: 'ops', expiresMs: undefined }))

    const { entries = [] } = (await readTokens(path)) ?? {}
    expect(entries).toEqual([entry('one'), entry('two', { role: 'ops', expiresMs: undefined })])
    expect(findToken(entries, 'kvb_two')?.name).toBe('two')
    expect(findToken(entries, 'kvb_three')).toBeUndefined()
    expect(readFileSync(path, 'utf8')).toMatch(
      /^# kv-backup-agent tokens 1\none sha256:[0-9a-f]{64} nightly 2026-03-01T02:00:00Z 2026-05-30T02:00:00Z -\ntwo sha256:\S+ ops \S+ - -\n$/,
    )
  })

  test('that is not there has no tokens', async () => {
    expect(await readTokens(freshPath())).toBeUndefined()
  })

  test('keeps comments, order, mode and owner when one is revoked', async () => {
    const path = made(`${MAGIC}# of backup1\n${LINE}\n# the end\n`, 0o600)
    if (process.geteuid?.() === 0) chownSync(path, 0, 65_534)

    const isNew = [await revokeToken(path, 'one', CREATED + 1), await revokeToken(path, 'one', EXPIRES)]

    expect(isNew).toEqual([true, false])
    expect(readFileSync(path, 'utf8')).toBe(
      `${MAGIC}# of backup1\n${LINE.replace('- -\n', '- 2026-03-01T02:00:00Z\n')}\n# the end\n`,
    )
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(path).gid).toBe(process.geteuid?.() === 0 ? 65_534 : process.getegid?.())
  })

  test('is made for its owner, and for the group of its directory where root makes it', async () => {
    const path = freshPath()
    const isRoot = process.geteuid?.() === 0
    if (isRoot) chownSync(join(path, '..'), 0, 65_534)

    await addToken(path, entry('one'))

    const { mode, gid } = statSync(path)
    expect({ mode: mode & 0o777, gid }).toEqual(
      isRoot ? { mode: 0o640, gid: 65_534 } : { mode: 0o600, gid: process.getegid?.() },
    )
  })

  test.each([
    ['another first line', `# kv-backup-agent tokens 2\n${LINE}`, 1],
    ['no first line', LINE, 1],
    ['nothing at all', '', 1],
    ['a last line without an end', MAGIC + LINE.trimEnd(), 2],
    ['a field too few', `${MAGIC}one ${HASH} nightly 2026-03-01T02:00:00Z -\n`, 2],
    ['a field too many', `${MAGIC}${LINE.trimEnd()} -\n`, 2],
    ['two blanks', `${MAGIC}${LINE.replace(' ', '  ')}`, 2],
    ['a CR', `${MAGIC}${LINE.replace('\n', '\r\n')}`, 2],
    ['a hash that is cut', `${MAGIC}${LINE.replace('0f ', ' ')}`, 2],
    ['a hash of another kind', `${MAGIC}${LINE.replace('sha256:', 'md5:')}`, 2],
    ['a token in the place of its hash', `${MAGIC}${LINE.replace(HASH, 'kvb_secret')}`, 2],
    ['a name with a control character', `${MAGIC}${LINE.replace('one', 'o\x1bne')}`, 2],
    ['a role that no table can have', `${MAGIC}${LINE.replace('nightly', 'Nightly!')}`, 2],
    ['a day that there is not', `${MAGIC}${LINE.replace('2026-03-01', '2026-02-30')}`, 2],
    ['no time of creation', `${MAGIC}${LINE.replace('2026-03-01T02:00:00Z', '-')}`, 2],
    ['an end that is no time', `${MAGIC}${LINE.replace('Z - -', 'Z tomorrow -')}`, 2],
    ['one name twice', `${MAGIC}${LINE}${LINE.replace('0f0f', '0e0e')}`, 3],
    ['one hash twice', `${MAGIC}${LINE}${LINE.replace('one', 'two')}`, 3],
  ])('with %s is refused as a whole, and nothing of it is shown', async (_, text, line) => {
    const path = made(text)

    const refused = expect(readTokens(path)).rejects
    await refused.toMatchObject({ code: 'AGENT_ACCESS_TOKENS', facts: { path, line } })
    await expect(readTokens(path)).rejects.not.toMatchObject({ message: expect.stringMatching(/0f0f|secret|\x1b/) })
  })

  test('cut anywhere is refused, or lacks whole lines at its end', async () => {
    const text = `${MAGIC}${LINE}${LINE.replace('one', 'two').replace('0f0f', '0e0e')}`

    for (let bytes = 0; bytes < text.length; bytes += 1) {
      const path = join(scratch, 'cut')
      writeFileSync(path, text.slice(0, bytes), { mode: 0o600 })
      const read = await readTokens(path).catch((error: { code: string }) => error.code)
      const isAtLineEnd = bytes >= MAGIC.length && text[bytes - 1] === '\n'
      if (isAtLineEnd) expect(read).toMatchObject({ entries: { length: text.slice(0, bytes).split('\n').length - 2 } })
      else expect(read).toBe('AGENT_ACCESS_TOKENS')
    }
  })

  test('has one spelling for each entry: whatever line is taken is written again as it was', () => {
    const line = LINE.trimEnd()
    const odd = fc.constantFrom('', ' ', '-', 'Z', '0', '9', 'ſ', '\t', '\u0000', 'a', 'A', ':', '+00:00', '2026-13-01')
    const changed = fc
      .tuple(fc.nat(line.length), fc.nat(3), odd)
      .map(([at, cut, text]) => line.slice(0, at) + text + line.slice(at + cut))
    fc.assert(
      fc.property(fc.oneof(changed, fc.string()), (text) => {
        const entry = readEntry(text)
        if (typeof entry !== 'string') expect(writeEntry(entry)).toBe(text)
      }),
      { numRuns: 5000 },
    )
  })

  test.each<[string, () => string | Promise<string>, RegExp]>([
    ['its group may write to', () => made(MAGIC + LINE, 0o660), /mode 0660/],
    ['all may read', () => made(MAGIC + LINE, 0o644), /mode 0644/],
    ['all may write to', () => made(MAGIC + LINE, 0o602), /mode 0602/],
    ['stands where all may put another in its place', () => inOpenDirectory(), /of its directory/],
    ['is a symbolic link', () => linked(), /symbolic link/],
    ['is a directory', () => join(freshPath(), '..'), /not a file/],
    ['is a FIFO', async () => fifo(), /not a file/],
    ['is too large', () => made(MAGIC + `#${'x'.repeat(100)}\n`.repeat(3000)), /larger than 262144 bytes/],
  ])('that %s is refused', async (_, make, why) => {
    await expect(readTokens(await make())).rejects.toMatchObject({
      code: 'AGENT_ACCESS_TOKENS',
      message: expect.stringMatching(why),
    })
  })

  const asRoot = process.geteuid?.() === 0 ? test : test.skip
  asRoot('that belongs to another user is refused', async () => {
    const path = made(MAGIC + LINE)
    chownSync(path, 65_534, 0)

    await expect(readTokens(path)).rejects.toMatchObject({ message: expect.stringMatching(/belongs to user 65534/) })
  })

  const inOpenDirectory = (): string => {
    const path = made(MAGIC + LINE)
    chmodSync(join(path, '..'), 0o777)
    return path
  }

  const linked = (): string => {
    const path = freshPath()
    symlinkSync(made(MAGIC + LINE), path)
    return path
  }
  const fifo = async (): Promise<string> => {
    const path = freshPath()
    await mustRun('mkfifo', ['-m', '600', path])
    return path
  }
})

describe('a change', () => {
  test('of a name that is taken is refused, also when that one was revoked', async () => {
    const path = freshPath()
    await addToken(path, entry('one'))
    await revokeToken(path, 'one', CREATED)
    const before = readFileSync(path, 'utf8')

    await expect(addToken(path, entry('one', { hash: hashOf('another') }))).rejects.toMatchObject({ code: 'CLI_USAGE' })
    await expect(revokeToken(path, 'two', CREATED)).rejects.toMatchObject({ code: 'CLI_USAGE' })

    expect(readFileSync(path, 'utf8')).toBe(before)
    expect(readdirSync(join(path, '..'))).toEqual(['tokens'])
  })

  test('of a file that cannot be believed changes nothing', async () => {
    const path = made(`${MAGIC}rubbish\n`)

    await expect(addToken(path, entry('one'))).rejects.toMatchObject({ code: 'AGENT_ACCESS_TOKENS' })

    expect(readFileSync(path, 'utf8')).toBe(`${MAGIC}rubbish\n`)
    expect(readdirSync(join(path, '..'))).toEqual(['tokens'])
  })

  test('through a link in the place of the lock is refused', async () => {
    const path = freshPath()
    const target = made('untouched')
    symlinkSync(target, `${path}.lock`)

    const refused = addToken(path, entry('one'))

    await expect(refused).rejects.toMatchObject({ code: 'AGENT_ACCESS_TOKENS', hint: expect.stringContaining('rm ') })
    expect(readFileSync(target, 'utf8')).toBe('untouched')
    expect(lstatSync(`${path}.lock`).isSymbolicLink()).toBe(true)
  })

  test('made by many processes at once is lost by none of them, and a reader always sees a whole file', async () => {
    const path = freshPath()
    await addToken(path, entry('first'))
    let isChanging = true
    const reading = (async () => {
      let least = 1
      while (isChanging) {
        const { entries = [] } = (await readTokens(path)) ?? {}
        expect(entries.length).toBeGreaterThanOrEqual(least)
        least = entries.length
      }
    })()

    await Promise.all([1, 2, 3].map((number) => addMany(path, number)))
    isChanging = false
    await reading

    expect((await readTokens(path))?.entries).toHaveLength(1 + 3 * MANY)
    expect(readdirSync(join(path, '..'))).toEqual(['tokens'])
  })
})

const MANY = 20
const TOKENS = fileURLToPath(new URL('../../lib/tokens/index.js', import.meta.url))

/** In a process of its own. */
const addMany = async (path: string, number: number): Promise<void> => {
  const program = `
const { addToken, hashOf } = await import(${JSON.stringify(TOKENS)})
for (let i = 0; i < ${MANY}; i += 1) {
  const name = 'p${number}-' + i
  await addToken(${JSON.stringify(path)}, { name, hash: hashOf(name), role: 'nightly', createdMs: 0 })
}
`
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', program], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [status] = await once(child, 'close')
  expect(status).toBe(0)
}
