import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { parseSession, type Pieces, type RecordedSession, readSession, replaySession } from '../../lib/client/index.ts'
import {
  PASSWORD,
  type Running,
  SESSION_DIRECTORY,
  SITUATIONS,
  type SituationName,
  type Stage,
  sessionFiles,
  TOKEN,
} from './situations.ts'

const FILES = sessionFiles()
const SITUATION_NAMES = Object.keys(SITUATIONS) as SituationName[]

/** Its last bytes count only when they come together with the request: what comes later is never looked at. */
const WANTS_ITS_CUT = 'trailing-bytes'

/** About how long what is filled in is: enough to cut a request and a receipt everywhere. */
const FILLED_BYTES = {
  password: PASSWORD.length,
  token: TOKEN.length,
  sid: 36,
  text: 0,
  version: 0,
  bytes: 5,
  sha256: 64,
} as const

const clientBytes = ({ steps }: RecordedSession): number => {
  let bytes = 0
  for (const step of steps) {
    if (step.kind !== 'send') continue
    for (const part of step.text) bytes += Buffer.isBuffer(part) ? part.length : FILLED_BYTES[part.placeholder]
  }
  return bytes
}

const hasStream = ({ steps }: RecordedSession): boolean => steps.some(({ kind }) => kind === 'stream')

describe.each<Running>(['in this process', 'as a program'])('an agent %s', (running) => {
  describe.each(SITUATION_NAMES)('in the situation %s', (situation) => {
    const files = FILES.filter((file) => file.situation === situation)
    let stage: Stage
    beforeAll(async () => {
      stage = await SITUATIONS[situation](running)
    })
    afterAll(() => stage.leave())
    const replay = (session: string | RecordedSession, pieces: Pieces) =>
      replaySession(session, { ...stage, password: PASSWORD, token: TOKEN, pieces, onAnswer: stage.answered })

    test.each(files)('answers $name as recorded', async ({ file }) => {
      await replay(file, 'recorded')
    })

    test.each(files)('answers $name as recorded when the request comes in one piece', async ({ file }) => {
      await replay(file, 'whole')
    })

    test.each(files.filter(({ name }) => name !== WANTS_ITS_CUT))(
      'answers $name as recorded when the request comes one byte at a time',
      async ({ file }) => {
        await replay(file, 'bytes')
      },
    )
  })
})

describe('a request cut in two at every byte', () => {
  let stage: Stage
  beforeAll(async () => {
    stage = await SITUATIONS.directory('in this process')
  })
  afterAll(() => stage.leave())

  test.each(FILES.filter(({ situation, name }) => situation === 'directory' && name !== WANTS_ITS_CUT))(
    'is answered alike: $name',
    async ({ file }) => {
      const session = await readSession(file)
      const bytes = clientBytes(session)
      // A whole backup each time takes a while, and its request is no other than that of a refusal.
      const step = hasStream(session) ? Math.ceil(bytes / 12) : 1

      for (let cutAt = 1; cutAt < bytes; cutAt += step) {
        await replaySession(session, { ...stage, password: PASSWORD, pieces: { cutAt } })
      }
    },
  )

  test('and never completed is refused, wherever the client stopped', async () => {
    const request = '0.76.1\n3\naction=copy from\nbackup-level=0\nfile=ZRM_LINKS\n\n'

    for (let cutAt = 1; cutAt < request.length; cutAt += 1) {
      const begun = request
        .slice(0, cutAt)
        .split(/(?<=\n)/)
        .map((line) => `> ${line.replace('\n', '\\n').replace(/ $/, '\\x20')}\n`)
      const text = `# kv-backup-agent wire session 1\n${begun.join('')}>half-close\n${TRUNCATED}`
      await replaySession(parseSession(text), stage)
    }
  })

  const TRUNCATED = `< 3\\n
< status=FAILED\\n
< msg={text}\\n
< code=PROTOCOL_TRUNCATED\\n
< \\n
<fin
`
})

test('every situation has a session, and every session names its situation', () => {
  const used = new Set(FILES.map(({ situation }) => situation))

  expect([...used].sort()).toEqual([...SITUATION_NAMES].sort())
})

test('no session holds a password or a token', async () => {
  for (const { file } of FILES) {
    const { steps } = await readSession(file)
    expect(JSON.stringify(steps)).not.toContain(PASSWORD)
    expect(JSON.stringify(steps)).not.toContain(TOKEN)
    expect(readFileSync(file, 'latin1')).not.toMatch(/kvb_/)
  }
  expect(SESSION_DIRECTORY).toMatch(/fixtures\/wire\/$/)
})
