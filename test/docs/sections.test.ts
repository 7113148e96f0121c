import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

const PAGES = ['README.md', 'PROTOCOL.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

/** Headings, those in code blocks excepted. */
const headingsOf = (page: string): string[] =>
  [
    ...read(page)
      .replace(/^```.*?^```/gms, '')
      .matchAll(/^#+ (.*)$/gm),
  ].map(([, heading = '']) => heading)

/** A comment as one line, whatever it begins its lines with. */
const unwrapped = (text: string): string => text.replace(/\n\s*(?:\*|\/\/|#)? ?/g, ' ')

const POINTER = /(README|PROTOCOL|SECURITY|CONTRIBUTING)(?:\.md)?, ((?:"[^"]+"(?:,| and| or)? ?)+)/g

const pointersIn = (path: string): [path: string, page: string, section: string][] =>
  [...unwrapped(read(path)).matchAll(POINTER)].flatMap(([, page = '', sections = '']) =>
    [...sections.matchAll(/"([^"]+)"/g)].map(([, section = '']): [string, string, string] => [
      path,
      `${page}.md`,
      section.replace(/[.,]$/, ''),
    ]),
  )

const sources = ['lib', 'bin'].flatMap((room) =>
  readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(?:ts|mjs|toml|conf|service|socket)$/.test(path))
    .map((path) => join(room, path)),
)

test('every section that a comment or a page points to is there', () => {
  const pointers = [...PAGES, ...sources].flatMap(pointersIn)

  const missing = pointers.filter(([, page, section]) => !headingsOf(page).includes(section))

  expect(pointers.length).toBeGreaterThan(50)
  expect(missing).toEqual([])
})

test('no page has two sections of one name', () => {
  const twice = PAGES.flatMap((page) => headingsOf(page).filter((one, at, all) => all.indexOf(one) !== at))

  expect(twice).toEqual([])
})
