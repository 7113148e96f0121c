import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'

import { STATEMENTS } from '../../lib/server/index.ts'

const LIB = fileURLToPath(new URL('../../../lib/', import.meta.url))
const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')

const sources = readdirSync(LIB, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ({ path, text: readFileSync(join(LIB, path), 'utf8') }))

test('every statement stands in README with its reason, and README has no other', () => {
  const documented = /<!-- statements -->\n([\s\S]*?)\n<!-- \/statements -->/.exec(README)?.[1]?.split('\n').slice(2)

  expect(documented).toEqual(Object.values(STATEMENTS).map(({ sql, why }) => `| \`${sql}\` | ${why} |`))
})

test('only the connection hands a text to the driver, and that text is from the table', () => {
  const callers = sources.filter(({ text }) => /\.(query|execute|batch|queryStream|prepare|importFile)\(/.test(text))

  expect(callers.map(({ path }) => path)).toEqual(['server/connection.ts'])
  expect(callers[0]?.text.match(/\.(?:query|execute|batch|queryStream|prepare|importFile)\(.*/g)).toEqual([
    '.query(sql, [...numbers])',
  ])
  expect(callers[0]?.text).toContain('const { sql } = STATEMENTS[name]')
})

test.each(Object.keys(STATEMENTS))('the statement %s is run by somebody', (name) => {
  const users = sources.filter(({ path, text }) => path !== 'server/statements.ts' && text.includes(`'${name}'`))

  expect(users).not.toEqual([])
})

test('the driver is loaded with the first connection, and not before', () => {
  const importers = sources.filter(({ text }) => /^import (?!type )[^\n]*'mariadb'/m.test(text))

  expect(importers).toEqual([])
  expect(sources.filter(({ text }) => text.includes("await import('mariadb')")).map(({ path }) => path)).toEqual([
    'server/connection.ts',
  ])
})
