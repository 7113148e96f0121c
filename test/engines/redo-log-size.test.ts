import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, ftruncateSync, openSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, afterEach, describe, expect, test } from '@jest/globals'

import { redoLogSize } from '../../lib/engines/redo-log-size.ts'
import { Scratch } from './stand-ins.ts'

const scratch = new Scratch()
const open: number[] = []
afterEach(() => {
  for (const descriptor of open.splice(0)) closeSync(descriptor)
})
afterAll(() => scratch.remove())

const MIB = 1024 * 1024

describe('the size of the redo log', () => {
  test.each([
    ['one file', ['ib_logfile0'], 96 * MIB],
    ['two files, written in turn', ['ib_logfile0', 'ib_logfile1'], 192 * MIB],
    ['no file under that name', ['#ib_redo7'], undefined],
    ['a log that is being made larger', ['ib_logfile0', 'ib_logfile101'], 96 * MIB],
    ['nothing', [], undefined],
  ])('is told by what the program has open: %s', (_, names, bytes) => {
    for (const name of names) {
      const descriptor = openSync(join(scratch.directory('data'), name), 'w')
      ftruncateSync(descriptor, 96 * MIB)
      open.push(descriptor)
    }

    expect(redoLogSize(process.pid)).toBe(bytes)
  })

  test('is unknown for a program that is gone', async () => {
    const child = spawn('true')
    await once(child, 'close')

    expect(redoLogSize(child.pid ?? 0)).toBeUndefined()
  })
})
