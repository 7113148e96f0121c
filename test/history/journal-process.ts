/**
 * A program that uses a journal, for tests that need several processes, or dead ones.
 *
 *     node journal-process.js append  DIR NAME JOBS   start and end so many jobs, tell each when it is on the disk
 *     node journal-process.js forever DIR NAME        the same without an end, writing the journal anew now and then
 *     node journal-process.js compact DIR             write the journal anew until standard input ends
 *     node journal-process.js mark    DIR             on a line of input: mark interrupted jobs, tell their names
 *     node journal-process.js start   DIR NAME        start one job, tell it, and wait for the end of input
 *     node journal-process.js fill    DIR NAME        start jobs until it fails, tell the code
 */

import { randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'

import { BackupError } from '../../lib/errors/index.ts'
import { Journal } from '../../lib/history/index.ts'

const [verb = '', directory = '', name = '', count = '0'] = process.argv.slice(2)

// At once and not by way of a buffer: what was told has happened, even when SIGKILL is next.
const tell = (line: string): void => {
  writeSync(1, `${line}\n`)
}

const inputEnds = (): Promise<void> =>
  new Promise((resolve) => {
    process.stdin.on('end', resolve).resume()
  })

const journal = await Journal.open({ directory, now: Date.now, newId: randomUUID })

const start = async (job: string): Promise<void> => {
  const requested = { padding: 'p'.repeat(300) }
  await journal.append({ event: 'started', job, sid: `sid-${job}`, peer: name, engine: 'stand-in', requested })
  tell(`started ${job}`)
}
const end = async (job: string): Promise<void> => {
  await journal.append({ event: 'ended', job, outcome: 'delivered', bytes: job.length })
  tell(`ended ${job}`)
}

switch (verb) {
  case 'append':
    for (let at = 0; at < Number(count); at += 1) {
      await start(`${name}-${at}`)
      await end(`${name}-${at}`)
    }
    break
  case 'forever':
    for (let at = 0; ; at += 1) {
      await start(`${name}-${at}`)
      if (at % 3 === 1) await journal.compact()
      await end(`${name}-${at}`)
    }
  case 'compact': {
    let more = true
    const ending = inputEnds().then(() => {
      more = false
    })
    let rounds = 0
    for (; more; rounds += 1) await journal.compact()
    await ending
    tell(`rounds ${rounds}`)
    break
  }
  case 'mark': {
    tell('ready')
    await new Promise((resolve) => process.stdin.once('data', resolve))
    process.stdin.destroy()
    for (const { job } of await journal.markInterrupted()) tell(`marked ${job}`)
    break
  }
  case 'start':
    await start(name)
    await inputEnds()
    break
  case 'fill':
    try {
      for (let at = 0; ; at += 1) await start(`${name}-${at}`)
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      tell(`code ${error.code}`)
      tell(`errno ${String(error.facts['errno'])}`)
    }
    break
  default:
    throw new Error(`no such verb: ${verb}`)
}
await journal.close()
