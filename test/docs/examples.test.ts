import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { fetchBackup, type RunningAgent, startAgent } from '../../lib/index.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

let work: string
let agent: RunningAgent

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'examples-'))
  mkdirSync(join(work, 'snapshot', 'shop'), { recursive: true })
  writeFileSync(join(work, 'snapshot', 'shop', 'orders.ibd'), randomBytes(50_000))
  agent = await startAgent({ port: 0, directory: join(work, 'snapshot') })
  await fetchBackup({ ...agent, target: { file: join(work, 'backup.tar') } }).receipt
})
afterAll(async () => {
  await agent.stop()
  rmSync(work, { recursive: true })
})

/** Runs a program as a user would who has the package installed: it imports `kv-backup-agent`. */
const runExample = async (text: string): Promise<{ status: number; output: string }> => {
  // Inside the package, so that its own name resolves to it.
  const file = join(ROOT, 'dist', 'test', 'docs', `example-${randomBytes(6).toString('hex')}.mjs`)
  writeFileSync(file, text)
  try {
    const child = spawn(process.execPath, [file], {
      cwd: work,
      env: { ...process.env, AGENT_PORT: String(agent.port) },
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const [status] = (await once(child, 'close')) as [number]
    return { status, output }
  } finally {
    rmSync(file)
  }
}

const examplesIn = (path: string) =>
  [...readFileSync(join(ROOT, 'lib', path), 'utf8').matchAll(/@example\n((?: \*.*\n)*?) \*\//g)].map(
    (match) => [path, (match[1] ?? '').replace(/^ \* ?/gm, '')] as const,
  )

/** The examples in docstrings: everything behind `@example`, without the comment's stars. */
const docstringExamples = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' }).flatMap((path) =>
  path.endsWith('.ts') ? examplesIn(path) : [],
)

test('every function that the library exports has an example', () => {
  const functions = ['startAgent', 'fetchBackup', 'verifyBackup', 'restoreBackup', 'replaySession']

  for (const name of functions)
    expect(docstringExamples.filter(([, text]) => text.includes(`${name}(`))).not.toEqual([])
})

test.each(docstringExamples)('the example in %s runs as it stands', async (_, text) => {
  const { status, output } = await runExample(text)

  rmSync(join(work, 'restored'), { recursive: true, force: true })
  rmSync(join(work, 'fetched.tar'), { force: true })
  expect({ status, output }).toEqual({ status: 0, output: expect.any(String) })
})

test('the example in README runs as it stands', async () => {
  const [, text] = /## As a library\n+```ts\n(.*?)```/s.exec(readFileSync(join(ROOT, 'README.md'), 'utf8')) ?? []
  rmSync(join(work, 'backup.tar'))

  const { status, output } = await runExample(text ?? 'throw new Error("no example")')

  expect({ status, output }).toEqual({ status: 0, output: expect.stringContaining('true') })
})
