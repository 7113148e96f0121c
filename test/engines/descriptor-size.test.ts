import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, ftruncateSync, openSync, unlinkSync, utimesSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, afterEach, describe, expect, test } from '@jest/globals'

import { descriptorSize, restingDescriptorSize } from '../../lib/engines/descriptor-size.ts'
import { Scratch } from './stand-ins.ts'

const scratch = new Scratch()
const open: number[] = []
afterEach(() => {
  for (const descriptor of open.splice(0)) closeSync(descriptor)
})
afterAll(() => scratch.remove())

/** Holds a file open, in this very process. */
const hold = (directory: string, name: string, bytes: number): string => {
  const path = join(scratch.directory(directory), name)
  const descriptor = openSync(path, 'w')
  ftruncateSync(descriptor, bytes)
  open.push(descriptor)
  return path
}

describe('the size of a file by the descriptor that a program has', () => {
  test.each(['db/t.ibd', './db/t.ibd'])('is found by its name in the stream: %s', (path) => {
    hold('data/db', 't.ibd', 123_456)

    expect(descriptorSize(process.pid, path)).toBe(123_456)
  })

  test('is found though the file was removed meanwhile', () => {
    unlinkSync(hold('data/db', 'gone.ibd', 4096))

    expect(descriptorSize(process.pid, 'db/gone.ibd')).toBe(4096)
  })

  test('is found in a directory of its own, as DATA DIRECTORY makes them', () => {
    hold('elsewhere/db', 'far.ibd', 8192)

    expect(descriptorSize(process.pid, 'db/far.ibd')).toBe(8192)
  })

  test('is found once when the file is open twice', () => {
    hold('data/db', 'twice.ibd', 10)
    hold('data/db', 'twice.ibd', 10)

    expect(descriptorSize(process.pid, 'db/twice.ibd')).toBe(10)
  })

  test.each([
    ['the end of a name', 't.ibd', 'at.ibd'],
    ['the end of the name of a directory', 'b/t.ibd', 't.ibd'],
    ['the beginning of a name', 'db/t.ib', 't.ibd'],
    ['a name that is not open', 'db/other.ibd', 't.ibd'],
    ['an empty name', '', 't.ibd'],
    ['an absolute name', '/db/t.ibd', 't.ibd'],
  ])('is not taken from %s', (_, asked, held) => {
    hold('data/db', held, 77)

    expect(descriptorSize(process.pid, asked)).toBeUndefined()
  })

  test('is unknown when two different files could be meant', () => {
    hold('data/db', 'same.ibd', 1)
    hold('elsewhere/db', 'same.ibd', 2)

    expect(descriptorSize(process.pid, 'db/same.ibd')).toBeUndefined()
  })

  test('is unknown for a program that is gone', async () => {
    const child = spawn('true')
    await once(child, 'close')

    expect(descriptorSize(child.pid ?? 0, 'db/t.ibd')).toBeUndefined()
  })
})

describe('the size of a file at rest', () => {
  const NOW_MS = Date.UTC(2026, 0, 31, 12)

  test.each([
    ['is told when nobody has written to it for two seconds', 2_000, 4096],
    ['is unknown when somebody has since', 1_999, undefined],
    ['is unknown when its last change is still to come', -60_000, undefined],
  ])('%s', (_, agoMs, expected) => {
    const seconds = (NOW_MS - agoMs) / 1000
    utimesSync(hold('data/db', 't.MYD', 4096), seconds, seconds)

    expect(restingDescriptorSize(process.pid, 'db/t.MYD', NOW_MS)).toBe(expected)
  })

  test('is unknown, as its size is, of a file that the program does not have', () => {
    expect(restingDescriptorSize(process.pid, 'db/other.MYD', NOW_MS)).toBeUndefined()
  })
})
