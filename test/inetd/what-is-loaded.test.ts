/**
 * A process for each client starts as slowly as it is large: who greets an agent, or is refused, loads its core alone.
 */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { converse } from '../rig/raw-client.ts'
import { Xinetd } from '../rig/xinetd.ts'

/** Loaded into the agent before its own code: writes down what is loaded, and whether the client's socket was away by then. */
const WITNESS = `
const { appendFileSync, fstatSync } = require('node:fs')
const Module = require('node:module')
const { load } = Module.prototype
Module.prototype.load = function (file) {
  const isAway = [1, 2].every((descriptor) => fstatSync(descriptor).ino !== fstatSync(0).ino)
  appendFileSync(process.env.WITNESS, JSON.stringify({ file, isAway }) + '\\n')
  return load.call(this, file)
}
process.on('exit', () => appendFileSync(process.env.WITNESS, JSON.stringify({ builtins: process.moduleLoadList }) + '\\n'))
`

interface Loaded {
  readonly files: readonly string[]
  readonly areAway: readonly boolean[]
  readonly builtins: readonly string[]
}

let scratch: string
let source: string

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'loaded-'))
  source = join(scratch, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'ibdata1'), 'a tablespace')
  writeFileSync(join(scratch, 'witness.cjs'), WITNESS)
})
afterAll(() => rmSync(scratch, { recursive: true }))

/** What an agent that xinetd starts loads for one request. */
const loadedFor = async (request: string): Promise<Loaded & { readonly answer: string }> => {
  const witness = join(mkdtempSync(join(scratch, 'run-')), 'witness')
  const log = ['--log', `file:${witness}.log`]
  const xinetd = await Xinetd.start([
    {
      name: 'agent',
      args: ['inetd', '--engine', 'directory', '--directory', source, '--state-dir', join(scratch, 'state'), ...log],
      environment: { NODE_OPTIONS: `--require=${join(scratch, 'witness.cjs')}`, WITNESS: witness },
    },
  ])
  const { bytes } = await converse(xinetd.port('agent'), request)
  await xinetd.stop()
  const lines = await untilLast(witness)
  const loads = lines.flatMap((line) => ('file' in line ? [line] : []))
  return {
    answer: bytes.toString(),
    files: loads.map(({ file }) => basename(file)),
    areAway: loads.map(({ isAway }) => isAway),
    builtins: lines.flatMap((line) => ('builtins' in line ? line.builtins : [])),
  }
}

type Line = { readonly file: string; readonly isAway: boolean } | { readonly builtins: readonly string[] }

/** The process lives for a moment after its last byte. */
const untilLast = async (witness: string): Promise<Line[]> => {
  for (;;) {
    const lines = readFileSync(witness, 'utf8')
      .split('\n')
      .slice(0, -1) // what follows the last line's end is still being written
      .map((line) => JSON.parse(line) as Line)
    if (lines.some((line) => 'builtins' in line)) return lines
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const PING = '0.77.0\n1\naction=ping\n\n'

test.each([
  ['a ping', PING, 'READY\n'],
  ['a version that does not fit', '9.0.0\n1\naction=ping\n\n', '3\nstatus=FAILED\n'],
  ['an action that there is none of', '0.77.0\n1\naction=pong\n\n', '3\nstatus=FAILED\n'],
  ['nonsense', 'GET / HTTP/1.1\r\n\r\n', '3\nstatus=FAILED\n'],
])('%s: the program, its core, and no package, driver or child', async (_, request, answer) => {
  const loaded = await loadedFor(request)

  expect(loaded.answer.slice(0, answer.length)).toBe(answer)
  expect(loaded.files).toEqual(['backup-agent.cjs', 'core.cjs', 'rolldown-runtime.cjs'])
  // Each of these takes Node longer than the answer itself.
  const costly =
    /^NativeModule (child_process|worker_threads|cluster|tls|https?|http2|crypto|readline|v8|perf_hooks|assert|zlib)$/
  expect(loaded.builtins.filter((name) => costly.test(name))).toEqual([])
  expect(loaded.builtins).toContain('NativeModule net')
})

test('the client’s socket is away before anything but the program’s own first file is loaded', async () => {
  const { files, areAway } = await loadedFor(PING)

  expect(files[0]).toBe('backup-agent.cjs')
  expect(areAway).toEqual([false, ...files.slice(1).map(() => true)])
})

test('what makes a backup is loaded for a question about backups, the driver of a server not even then', async () => {
  const { answer, files } = await loadedFor('0.77.0\n1\naction=status\n\n')

  expect(answer).toContain('engine=directory')
  expect(files.length).toBeGreaterThan(2)
  expect(files.filter((file) => /mariadb|execa|pino|valibot|toml/.test(file))).toEqual([])
})
