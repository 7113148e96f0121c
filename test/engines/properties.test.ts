/** Secrets and words, whatever they are: what is handed over comes back the same, and what is kept holds no secret. */

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { BackupError } from '../../lib/errors/index.ts'
import { MARIADB_WORDS } from '../../lib/engines/mariadb-words.ts'
import { optionFileText } from '../../lib/engines/option-file.ts'
import { redactor } from '../../lib/engines/redaction.ts'
import { MAX_LINE_BYTES, StderrLines } from '../../lib/engines/stderr-lines.ts'
import { WordsReader } from '../../lib/engines/words-reader.ts'
import { XTRABACKUP_WORDS } from '../../lib/engines/xtrabackup-words.ts'

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc
    .array(fc.constantFrom('"', '\\', '#', ';', ' ', "'", 'a', '=', '\n', '[client]', '!include /x', '$'), {
      maxLength: 12,
    })
    .map((parts) => parts.join('')),
)

describe('the option file', () => {
  test('holds the password and nothing that it could bring along, or refuses it', () => {
    fc.assert(
      fc.property(anyText, (password) => {
        let text: string
        try {
          text = optionFileText({ user: 'backup', password })
        } catch (error) {
          expect(error).toMatchObject({ code: 'ENGINE_LOGIN_INVALID' })
          expect(error).toBeInstanceOf(BackupError)
          return
        }
        const lines = text.split('\n')
        expect(lines).toHaveLength(7)
        const quoted = /^password="(.*)"$/su.exec(lines[2] ?? '')?.[1] ?? ''
        expect(quoted.replace(/\\(["\\])/g, '$1')).toBe(password)
        expect(quoted.replace(/\\["\\]/g, '')).not.toContain('"')
      }),
      { numRuns: 1000 },
    )
  })
})

describe('what is kept of a line', () => {
  const secret = fc
    .string({ unit: 'grapheme', minLength: 6, maxLength: 40 })
    .filter((text) => !'[redacted]'.includes(text))

  test('does not hold the password, in any form in which it was handed over', () => {
    fc.assert(
      fc.property(secret, anyText, anyText, (password, before, behind) => {
        const redact = redactor(password)
        const forms = [password, password.replace(/["'\\]/g, '\\$&'), Buffer.from(password).toString('hex')]

        for (const form of forms) {
          // Letters of their own around it, so that nothing else makes it up again.
          const kept = redact(`${before}\u00a7${form}\u00a7${behind}`)
          expect(kept.includes(`\u00a7${form}\u00a7`)).toBe(false)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('holds nothing that a terminal would obey, and is no longer than it may be', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 4000 }), (line) => {
        const kept = redactor('s3cUre!')(line)

        expect(kept).not.toMatch(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/)
        expect(kept.length).toBeLessThanOrEqual(2049)
      }),
      { numRuns: 300 },
    )
  })
})

describe('the words of a program', () => {
  test('are the same lines, and mean the same, wherever they are cut', () => {
    const word = fc.constantFrom(
      'completed OK!',
      '[00] 2026-11-21 06:47:35 ',
      'Acquired locks for BACKUP STAGE FLUSH',
      'Streaming ./a',
      '\n',
      '\r\n',
      'error ',
      "'",
      'x'.repeat(MAX_LINE_BYTES),
      'é',
    )
    const understood = (pieces: readonly Buffer[]): unknown => {
      const lines = new StderrLines()
      const readers = [MARIADB_WORDS, XTRABACKUP_WORDS].map((words) => new WordsReader(words, redactor(undefined)))
      const said: string[] = []
      for (const piece of pieces) said.push(...lines.push(piece))
      said.push(...lines.end())
      for (const line of said) for (const reader of readers) reader.take(line)
      return [said, readers.map((reader) => reader.seen())]
    }
    fc.assert(
      fc.property(fc.array(word, { maxLength: 20 }), fc.array(fc.nat(400), { maxLength: 8 }), (words, places) => {
        const bytes = Buffer.from(words.join(''))
        const cuts = [...new Set(places.map((at) => Math.min(at, bytes.length)))].sort((a, b) => a - b)

        const cut = understood([0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.length)))

        expect(cut).toEqual(understood([bytes]))
      }),
      { numRuns: 200 },
    )
  })
})
