import { beforeEach, expect, test } from '@jest/globals'

import { DoorLog } from '../../lib/agent/door-log.ts'
import type { Logger } from '../../lib/log/index.ts'

let nowMs: number
let timers: { readonly atMs: number; readonly call: () => void }[]
let lines: Record<string, unknown>[]
let doorLog: DoorLog

const SECOND = 1000
const MINUTE = 60 * SECOND

beforeEach(() => {
  nowMs = 0
  timers = []
  lines = []
  const log = { warn: (facts: object) => void lines.push({ ...facts }) } as unknown as Logger
  doorLog = new DoorLog(log, {
    nowMs: () => nowMs,
    later: (milliseconds, call) => void timers.push({ atMs: nowMs + milliseconds, call }),
  })
})

const pass = (milliseconds: number): void => {
  const untilMs = nowMs + milliseconds
  for (;;) {
    const next = timers.filter(({ atMs }) => atMs <= untilMs).sort((one, other) => one.atMs - other.atMs)[0]
    if (next === undefined) break
    timers.splice(timers.indexOf(next), 1)
    nowMs = next.atMs
    next.call()
  }
  nowMs = untilMs
}

test('a flood is a line after a second, and then one a minute, with counts of everything', () => {
  for (let second = 0; second < 180; second += 1) {
    for (let at = 0; at < 100; at += 1) doorLog.dropped('evicted', `192.0.2.${at % 3}`)
    doorLog.dropped('penalised', '192.0.2.0')
    pass(SECOND)
  }
  pass(MINUTE)

  expect(lines.map(({ dropped, seconds }) => [dropped, seconds])).toEqual([
    [101, 1],
    [101 * 60, 60],
    [101 * 60, 60],
    [101 * 59, 60],
  ])
  expect(lines[0]).toEqual({
    code: 'AGENT_CONNECTIONS',
    dropped: 101,
    evicted: 100,
    full: 0,
    penalised: 1,
    sources: 3,
    most: '192.0.2.0',
    mostDropped: 35,
    seconds: 1,
  })
})

test('says nothing when nothing was dropped, and has no timer then', () => {
  doorLog.dropped('full', 'a')
  pass(10 * MINUTE)

  expect(lines).toHaveLength(1)
  expect(timers).toEqual([])
})

test('counts the sources of a flood from everywhere up to a bound', () => {
  for (let at = 0; at < 10_000; at += 1) doorLog.dropped('evicted', `source ${at}`)
  doorLog.flush()

  expect(lines[0]).toMatchObject({ dropped: 10_000, sources: 256 })
})

test('lines about strangers are written while there are few, and counted by their code when there are many', () => {
  const written = Array.from({ length: 500 }, () => doorLog.mayWrite('AGENT_REQUEST_TIMEOUT', false)).filter(Boolean)
  pass(SECOND)

  expect(written).toHaveLength(60)
  expect(lines).toEqual([
    {
      code: 'AGENT_CONNECTIONS',
      dropped: 0,
      evicted: 0,
      full: 0,
      penalised: 0,
      unsaid: { AGENT_REQUEST_TIMEOUT: 440 },
      seconds: 1,
    },
  ])
})

test('a flood of strangers leaves those known their lines, and after a while strangers have some again', () => {
  for (let at = 0; at < 500; at += 1) doorLog.mayWrite('PROTOCOL_TRUNCATED', false)

  expect(doorLog.mayWrite('request', true)).toBe(true)
  pass(5 * SECOND)
  expect(Array.from({ length: 9 }, () => doorLog.mayWrite('PROTOCOL_TRUNCATED', false)).filter(Boolean)).toHaveLength(5)
})

test('what was not said yet is said at the end', () => {
  doorLog.dropped('evicted', 'a')
  doorLog.flush()
  doorLog.flush()

  expect(lines).toHaveLength(1)
})
