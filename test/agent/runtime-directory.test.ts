import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { makeRuntimeDirectory } from '../../lib/agent/runtime-directory.ts'

let parent: string
/** The pid of a process that has ended. */
const deadPid = spawnSync('true').pid

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'runtime-'))
})
afterEach(() => rmSync(parent, { recursive: true }))

test('is private, and gone when it is removed', async () => {
  const runtime = await makeRuntimeDirectory(parent)
  expect(statSync(runtime.path).mode & 0o777).toBe(0o700)

  await runtime.remove()

  expect(readdirSync(parent)).toEqual([])
})

test('takes away what killed agents left behind, and nothing else', async () => {
  const left = join(parent, `kv-backup-agent-${deadPid}-abcdef`)
  const alive = join(parent, `kv-backup-agent-${process.pid}-abcdef`)
  const full = join(parent, `kv-backup-agent-${deadPid}-ghijkl`)
  const foreign = join(parent, `something-${deadPid}-abcdef`)
  for (const path of [left, alive, full, foreign]) mkdirSync(path)
  writeFileSync(join(full, 'evidence'), '')

  const runtime = await makeRuntimeDirectory(parent)

  expect([left, alive, full, foreign].map((path) => existsSync(path))).toEqual([false, true, true, true])
  await runtime.remove()
})

test('takes away a directory in which an agent was killed while it started a child', async () => {
  const left = join(parent, `kv-backup-agent-${deadPid}-abcdef`)
  const full = join(parent, `kv-backup-agent-${deadPid}-ghijkl`)
  for (const path of [left, full]) {
    mkdirSync(path)
    // bound, and killed before it could take the name away
    const socket = join(path, `.output-${'0123456789abcdef'.repeat(2)}`)
    spawnSync('python3', ['-c', 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])', socket])
    expect(statSync(socket).isSocket()).toBe(true)
  }
  writeFileSync(join(full, 'evidence'), '')

  const runtime = await makeRuntimeDirectory(parent)

  expect([left, full].map((path) => existsSync(path))).toEqual([false, true])
  await runtime.remove()
})
