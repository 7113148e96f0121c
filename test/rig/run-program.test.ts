import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'

import { makeGuardedDirectory, removeGuardedDirectory } from './guard.ts'
import { mustRun, runProgram } from './run-program.ts'

const scratch = makeGuardedDirectory('run-test')
afterAll(() => removeGuardedDirectory(scratch))

describe('running a program', () => {
  test('hands back what it said on both outputs, and its exit status', async () => {
    const run = await runProgram('sh', ['-c', 'cat; echo oops >&2; exit 3'], { input: 'hello' })

    expect(run).toMatchObject({ exitCode: 3, killedBy: null, stdout: Buffer.from('hello'), stderr: 'oops\n' })
  })

  test('takes its input from a file and writes its output to one', async () => {
    const [from, to] = [join(scratch, 'from'), join(scratch, 'to')]
    writeFileSync(from, Buffer.alloc(300_000, 'x'))

    await mustRun('cat', [], { inputFile: from, outputFile: to })

    expect(readFileSync(to)).toEqual(readFileSync(from))
  })

  test('does not mind a program that leaves its input unread', async () => {
    const run = await runProgram('true', [], { input: Buffer.alloc(1_000_000) })

    expect(run.exitCode).toBe(0)
  })

  test('throws with the end of what the program said, when it must succeed', async () => {
    const run = mustRun('sh', ['-c', 'echo first; echo "no such luck" >&2; exit 1'])

    await expect(run).rejects.toThrow('sh failed (exit status 1): no such luck')
  })

  test('kills the program when told to', async () => {
    const told = new AbortController()
    const run = runProgram('sleep', ['600'], { signal: told.signal })

    told.abort()

    expect(await run).toMatchObject({ exitCode: null, killedBy: 'SIGKILL' })
  })

  test('shows it an environment without what Jest needs for itself', async () => {
    const run = await mustRun('env', [])

    expect(run.stdout.toString()).not.toMatch(/JEST|NODE_OPTIONS/)
  })

  test('says when there is no such program', async () => {
    const run = runProgram('no-such-program', [])

    await expect(run).rejects.toThrow('ENOENT')
  })
})
