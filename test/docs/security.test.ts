/** SECURITY.md: every threat has a row, and every test that a row names is there. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const page = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8')

/** The table of the section "What is protected today": `| T1 | threat | how | shown by |`. */
const rows = [...page.matchAll(/^\| (T\d+) \| (.+?) \| (.+?) \| (.+) \|$/gm)].map(
  ([, id = '', threat, how, shown = '']) => ({
    id,
    threat,
    how,
    paths: [...shown.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path),
  }),
)

describe('SECURITY.md', () => {
  test('has a row for each of the fourteen threats, in their order', () => {
    const ids = rows.map(({ id }) => id)

    expect([...new Set(ids)]).toEqual(Array.from({ length: 14 }, (_, index) => `T${index + 1}`))
    expect(ids).toEqual(ids.toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1))))
  })

  test.each(rows.map((row) => [`${row.id}: ${row.threat}`, row] as const))(
    '%s names tests that are there',
    (_, { paths }) => {
      expect(paths.length).toBeGreaterThan(0)
      for (const path of paths) expect(path).toMatch(/^(test|fixtures)\//)
      expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
    },
  )

  test('says how to report a weakness, what is not protected, and what comes along', () => {
    for (const section of [
      'Reporting',
      'What is protected today',
      'What is not protected yet',
      'Names',
      'Dependencies',
    ]) {
      expect(page).toContain(`\n## ${section}\n`)
    }
    expect(page).toContain('Report a vulnerability')
  })

  test('points to no path of the repository that is not there', () => {
    const paths = [...page.matchAll(/`((?:test|lib|bin|fixtures)\/[^`*]+)`/g)].map(([, path = '']) => path)

    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })
})
