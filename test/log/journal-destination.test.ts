/** The journal's stream socket, by a stand-in that keeps what it is sent. The real thing: systemd-cat, whose bytes are the model. */

import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { createLogger, journalDestination } from '../../lib/log/index.ts'
import { runProgram } from '../rig/run-program.ts'

/** As systemd-cat 252 begins: `systemd-cat -t backup-agent -p info echo '<4>hello'` */
const HEADER = 'backup-agent\n\n6\n1\n0\n0\n0\n'

let scratch: string
let path: string
let journal: Server
let streams: Socket[]
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'journal-'))
  path = join(scratch, 'stdout')
  streams = []
})
afterEach(async () => {
  for (const stream of streams) stream.destroy()
  journal.close()
  await once(journal, 'close')
  rmSync(scratch, { recursive: true })
})

const listen = async (): Promise<void> => {
  journal = createServer((stream) => streams.push(stream)).listen(path)
  await once(journal, 'listening')
}

const read = async (stream: Socket): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

test('says who it is, then one line for each, with its priority', async () => {
  await listen()
  const connected = once(journal, 'connection')
  const destination = journalDestination('backup-agent', path)
  const log = await createLogger({ level: 'info', name: 'test', destination })

  log.info('one')
  log.warn('two')
  log.error({ text: 'a\nb' }, 'three')
  const [stream] = (await connected) as [Socket]
  const [text] = await Promise.all([read(stream), destination.close()])

  expect(text.startsWith(HEADER)).toBe(true)
  const lines = text.slice(HEADER.length).trimEnd().split('\n')
  expect(lines.map((line) => line.slice(0, 3))).toEqual(['<6>', '<4>', '<3>'])
  expect(lines.map((line) => (JSON.parse(line.slice(3)) as { msg: string }).msg)).toEqual(['one', 'two', 'three'])
})

test('a journal that is not there, or goes away, loses lines and nothing else', async () => {
  await listen()
  const connected = once(journal, 'connection')
  let nowMs = 0
  const destination = journalDestination('backup-agent', path, () => nowMs)
  destination.write('{"level":"info","msg":"one"}\n')
  const [stream] = (await connected) as [Socket]
  const over = once(stream, 'close')
  stream.resume().destroy()
  await over

  // It notices with what it writes next; whatever happens then, nothing is thrown.
  const again = once(journal, 'connection')
  while (streams.length < 2) {
    nowMs += 1000
    destination.write('{"level":"info","msg":"two"}\n')
    await new Promise((resolve) => setImmediate(resolve))
  }
  const [second] = (await again) as [Socket]
  const [text] = await Promise.all([read(second), destination.close()])

  expect(text.startsWith(HEADER)).toBe(true)
  expect(text).toContain('"msg":"two"')
})

test('the stand-in is sent by systemd-cat what we send', async () => {
  await listen()
  // Where it can have a name space of its own, the real program talks to our stand-in.
  const script = `mount -t tmpfs none /run/systemd && mkdir -p /run/systemd/journal && ln -s "$0" /run/systemd/journal/stdout && systemd-cat -t backup-agent -p info echo '<4>hello'`
  if (!existsSync('/run/systemd') || process.getuid?.() !== 0) return
  const connected = once(journal, 'connection')
  const run = runProgram('unshare', ['--mount', 'sh', '-c', script, path])
  const first = await Promise.race([connected, run])
  if (!Array.isArray(first)) return // no name spaces here
  const [text] = await Promise.all([read(first[0] as Socket), run])

  expect(text).toBe(`${HEADER}<4>hello\n`)
})
