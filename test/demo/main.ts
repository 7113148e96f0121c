/**
 * `npm run demo`: the main job, with real parts, from beginning to end.
 *
 * A server that is being written to → backup-agent → backup-client → plain tar → prepare → a
 * second server, which must hold the same rows. Ends with status 0 only if it does. Everything
 * it makes lies in one directory, and is gone afterwards, also after Ctrl-C.
 */

import { randomBytes } from 'node:crypto'
import { open, statfs, truncate, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'

import { EXIT } from '../../lib/errors/index.ts'
import { AGENT_PROGRAM, AgentProcess, CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { mustRun, runProgram } from '../rig/run-program.ts'
import { checkJournal, compareTables, readJournal, takeFingerprints } from './compare.ts'
import { BIG, bigTableBytes, DATABASES, fill } from './fill.ts'
import { DemoFailure, formatMegabytes, formatSeconds, Story } from './story.ts'
import { compareUnpackers, GNU_TAR, readTree, unpack } from './trees.ts'
import { Writer } from './writer.ts'

/** On disk and not in /tmp, which is memory on newer systems. */
const PARENT = process.env['TMPDIR'] ?? '/var/tmp'
/** The server, the archive and two unpacked trees. */
const DISK_BYTES_NEEDED = 2_000_000_000

const REDO_LOG_BYTES = 128 * 1024 * 1024
const BUFFER_POOL_BYTES = 256 * 1024 * 1024

const USER = 'backup'

/** What `backup-client fetch --json` prints; README, "The client". */
interface Receipt {
  readonly bytes: number
  readonly sha256: string
  readonly files: number
  readonly seconds: number
  readonly sid: string
  readonly proof: string
}

/** Undone in reverse order, whatever happens. */
type TidyUp = (() => unknown)[]

const demo = async (story: Story, tidyUp: TidyUp, signal: AbortSignal): Promise<void> => {
  const scratch = await makeScratch()
  tidyUp.push(() => removeGuardedDirectory(scratch))
  const archive = join(scratch, 'backup.tar')
  const restored = join(scratch, 'restored')
  const stateDirectory = join(scratch, 'state')

  const server = await story.tell(
    'server',
    async () => {
      const settings = { directory: scratch, redoLogBytes: REDO_LOG_BYTES, bufferPoolBytes: BUFFER_POOL_BYTES }
      const started = await ThrowawayServer.start({ ...settings, binaryLog: true })
      tidyUp.push(() => started.discard())
      return { started, version: await started.queryValue(`SELECT SUBSTRING_INDEX(VERSION(), '-', 1)`) }
    },
    ({ version }) => `MariaDB ${version}, its own data directory, reachable only over its socket`,
  )
  const source = server.started

  const before = await story.tell(
    'filled',
    async () => {
      await fill(source)
      const bigBytes = await bigTableBytes(source)
      if (bigBytes < BIG.minBytes) throw new DemoFailure(`the big table has only ${bigBytes} bytes`)
      return { tables: await takeFingerprints(source), bigBytes }
    },
    ({ tables, bigBytes }) =>
      `${DATABASES.length} databases, ${tables.size} tables and a journal; InnoDB, MyISAM, Aria; the biggest ${formatMegabytes(bigBytes)}`,
  )

  const writer = await story.tell(
    'writer',
    async () => {
      const started = await Writer.start(source)
      tidyUp.push(() => started.kill())
      return started
    },
    () => 'writes a row into the journal every few milliseconds, all through the backup',
  )

  const agent = await story.tell(
    'agent',
    async () => {
      const options = ['--listen', '127.0.0.1:0', '--engine', 'mariadb-backup', '--socket', source.socket]
      const started = await AgentProcess.start([...options, '--spool-dir', scratch, '--state-dir', stateDirectory])
      tidyUp.push(() => started.stop('SIGKILL'))
      return started
    },
    ({ address }) => `backup-agent serve, listening on ${address}`,
  )

  const { receipt, confirmedBefore, confirmedAfter } = await story.tell(
    'fetched',
    async () => {
      const password = randomBytes(18).toString('base64')
      const passwordFile = join(scratch, 'password')
      await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
      await source.createBackupUser(USER, password)
      const confirmedBefore = writer.confirmed
      const receipt = await fetchBackup(agent, passwordFile, archive, signal)
      const confirmedAfter = writer.confirmed
      if (confirmedAfter <= confirmedBefore) throw new DemoFailure('nobody could write during the backup')
      return { receipt, confirmedBefore, confirmedAfter }
    },
    ({ receipt: { bytes, files, seconds, sha256 }, confirmedBefore, confirmedAfter }) =>
      `${formatMegabytes(bytes)}, ${files} files, ${formatMegabytes(bytes / seconds)}/s, sha256 ${sha256.slice(0, 12)}…; ` +
      `${confirmedAfter - confirmedBefore} rows written meanwhile`,
  )
  await writer.stop()
  await agent.stop()

  await story.tell(
    'remembered',
    () => checkHistory(stateDirectory, receipt, signal),
    (state) => `backup-agent history: ${state}; the client has counted and hashed every byte`,
  )

  await story.tell(
    'verified',
    () => mustRun(process.execPath, [CLIENT_PROGRAM, 'verify', archive, '--require-verdict'], { signal }),
    () => "backup-client verify: a whole backup, as the agent's own verdict and digest say",
  )

  const tree = await story.tell(
    'unpacked',
    async () => {
      await unpack(GNU_TAR, archive, restored, signal)
      const tree = await readTree(restored)
      await compareUnpackers(tree, archive, scratch, signal)
      return tree
    },
    ({ size }) => `by GNU tar, bsdtar and Python's tarfile: three identical trees of ${size} files and directories`,
  )

  await story.tell(
    'changed',
    () => refuseChangedArchive(archive, receipt.bytes, signal),
    () => 'one bit in the middle of a table: backup-client verify refuses it, though every tar takes it',
  )

  await story.tell(
    'cut short',
    () => refuseCutArchives(archive, receipt.bytes, signal),
    (cuts) => `${cuts} times, once by a single byte: backup-client verify refuses it each time`,
  )

  await story.tell(
    'prepared',
    () => mustRun('mariadb-backup', ['--prepare', `--target-dir=${restored}`], { signal }),
    () => 'mariadb-backup --prepare',
  )

  await story.tell(
    'restored',
    async () => {
      const second = await ThrowawayServer.startOn(restored, { directory: scratch, bufferPoolBytes: BUFFER_POOL_BYTES })
      tidyUp.push(() => second.discard())
      const tables = compareTables(before.tables, await takeFingerprints(second))
      const journal = await readJournal(second)
      checkJournal(journal, confirmedBefore, confirmedAfter)
      return { tables, journal }
    },
    ({ journal }) => `a second server holds it; journal rows 1 to ${journal.last}, no gap`,
  )

  story.say()
  story.say(
    `journal: ${confirmedBefore} rows were committed when the backup was asked for, ${confirmedAfter} when it had arrived`,
  )
  story.say(`restored: ${before.tables.size} tables identical`)
  story.say(`(${tree.size} files and directories, ${formatSeconds(story.seconds)} in all)`)
}

const makeScratch = async (): Promise<string> => {
  const scratch = makeGuardedDirectory('demo', PARENT)
  const { bavail, bsize } = await statfs(scratch)
  if (bavail * bsize >= DISK_BYTES_NEEDED) return scratch
  await removeGuardedDirectory(scratch)
  const [needed, there] = [DISK_BYTES_NEEDED, bavail * bsize].map(formatMegabytes)
  throw new DemoFailure(`${PARENT} has ${there} free, the demo needs ${needed}; set TMPDIR to a place that has`)
}

const fetchBackup = async (
  agent: AgentProcess,
  passwordFile: string,
  archive: string,
  signal: AbortSignal,
): Promise<Receipt> => {
  const options = ['--user', USER, '--password-file', passwordFile, '--out', archive, '--json']
  const run = await runProgram(process.execPath, [CLIENT_PROGRAM, 'fetch', agent.address, ...options], { signal })
  if (run.exitCode === 0) return JSON.parse(run.stdout.toString()) as Receipt
  throw new DemoFailure(
    `backup-client fetch ended with ${run.exitCode ?? run.killedBy}: ${run.stderr.trim()}\nthe agent's log:\n${agent.logTail}`,
  )
}

/** @returns the outcome that the agent has remembered, which must be the best there is */
const checkHistory = async (stateDirectory: string, receipt: Receipt, signal: AbortSignal): Promise<string> => {
  const history = await mustRun(process.execPath, [AGENT_PROGRAM, 'history', '--json', '--state-dir', stateDirectory], {
    signal,
  })
  const { jobs } = JSON.parse(history.stdout.toString()) as { jobs: { state: string; sid: string; sha256?: string }[] }
  const job = jobs.find(({ sid }) => sid === receipt.sid)
  if (job?.state === 'delivered' && job.sha256 === receipt.sha256) return job.state
  throw new DemoFailure(`the history should say delivered, and says ${JSON.stringify(job ?? 'nothing')}`)
}

/** Flips a bit, looks, and flips it back. */
const refuseChangedArchive = async (archive: string, bytes: number, signal: AbortSignal): Promise<void> => {
  const flip = async (): Promise<void> => {
    const file = await open(archive, 'r+')
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, Math.floor(bytes / 2))
    await file.write(Buffer.of(buffer.readUInt8(0) ^ 1), 0, 1, Math.floor(bytes / 2))
    await file.close()
  }
  await flip()
  const { exitCode, stderr } = await runProgram(process.execPath, [CLIENT_PROGRAM, 'verify', archive], { signal })
  await flip()
  if (exitCode === EXIT.incomplete) return
  throw new DemoFailure(`backup-client verify ended with ${exitCode} for an archive with a flipped bit: ${stderr}`)
}

/** @returns how many cut archives were refused; the archive is no backup any more afterwards */
const refuseCutArchives = async (archive: string, bytes: number, signal: AbortSignal): Promise<number> => {
  const lengths = [bytes - 1, Math.floor(bytes / 2)]
  for (const length of lengths) {
    await truncate(archive, length)
    const { exitCode, stderr } = await runProgram(process.execPath, [CLIENT_PROGRAM, 'verify', archive], { signal })
    if (exitCode === EXIT.incomplete) continue
    throw new DemoFailure(`backup-client verify ended with ${exitCode} for an archive cut at byte ${length}: ${stderr}`)
  }
  return lengths.length
}

const main = async (): Promise<void> => {
  const story = new Story()
  const tidyUp: TidyUp = []
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) return
      stop.abort()
      story.say(`\n${signal}: stopping, and tidying up`)
      void tidy(tidyUp).then(() => process.exit(128 + constants.signals[signal]))
    })
  }
  try {
    await demo(story, tidyUp, stop.signal)
  } catch (error) {
    if (stop.signal.aborted) return // the failure is our own doing
    process.exitCode = 1
    const text = error instanceof DemoFailure ? error.message : error instanceof Error ? error.stack : error
    console.error(`\nThe demo failed at "${story.chapter}": ${text}`)
  }
  if (!stop.signal.aborted) await tidy(tidyUp)
}

const tidy = async (tidyUp: TidyUp): Promise<void> => {
  for (let undo = tidyUp.pop(); undo !== undefined; undo = tidyUp.pop()) {
    try {
      await undo()
    } catch (error) {
      console.error(error) // and go on: the rest must go as well
    }
  }
}

await main()
