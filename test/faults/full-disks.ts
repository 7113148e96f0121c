/**
 * Disks that are full: where the agent spools and spills, where it remembers, where the client writes.
 *
 * Each full disk is a small tmpfs in a mount namespace of the one process that uses it, so it is
 * gone with that process. Needs root; says so when it is not.
 */

import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

import { agentStatus } from '../../lib/client/index.ts'
import type { AgentProcess } from '../rig/agent-process.ts'
import { AgentHome } from './agent-home.ts'
import { type ClientEnd, describeEnd, fetchOnce } from './client-run.ts'
import { bugsIn } from './failing-engines.ts'
import { holdBackup, isFailure } from './held-backup.ts'
import { judgeArchive } from './judge-archive.ts'
import { canUnshare, launchWithTmpfs } from './namespaces.ts'
import type { Encoding } from './product.ts'
import type { Bench, Scenario } from './scenario.ts'
import { TestedServer } from './tested-server.ts'

const HOLD_AT = 2_000_000

export const fullDisks: Scenario = {
  name: 'full-disks',
  fault: 'ENOSPC in spool/history; client disk full',
  does: 'spool, spill, history and client on a disk that is full: a whole backup or an error by name, and never a wrong state',
  run: async (bench) => {
    if (!canUnshare()) {
      bench.tally.skip('only root may mount a small disk')
      return
    }
    const tested = await TestedServer.start('full-disks', { megabytes: 40, redoLogBytes: 32 * 1024 * 1024 })
    try {
      for (const encoding of bench.quick ? bench.product.encodings.slice(-1) : bench.product.encodings) {
        await fullSpool(bench, tested, encoding)
        await fullSpill(bench, tested, encoding)
        for (const place of FULL_PLACES) await fullClient(bench, tested, encoding, place)
        await fullOutput(bench, tested, encoding)
      }
      if (bench.product.history) await fullHistory(bench, tested)
      else bench.tally.skip('the history: the product keeps none')
    } finally {
      await tested.discard()
    }
  },
}

/** What must be said when there is no backup because of a disk. */
const DISK_CODES = ['ARCHIVE_SPOOL_FULL', 'ARCHIVE_SPOOL_IO', 'SCRATCH_NO_ROOM', 'SCRATCH_IO', 'FLOW_STALLED_LOCKED']

const ask = (
  bench: Bench,
  tested: TestedServer,
  agent: AgentProcess,
  encoding: Encoding,
  sid: string,
): Promise<ClientEnd> =>
  fetchOnce({ address: agent.address, directory: bench.directory('run'), encoding, sid, login: tested.login })

/** Parts have to wait there whose size is not known, and there is no room for them. */
const fullSpool = async (bench: Bench, tested: TestedServer, encoding: Encoding): Promise<void> => {
  const { tally } = bench
  const context = `a full spool, ${encoding}`
  const home = new AgentHome(bench.directory('home'), bench.product)
  const launcher = launchWithTmpfs(home.spool, '64k')
  const options = [...tested.engineOptions, '--memory-bytes', String(1024 * 1024)]
  const agent = await home.start(options, { launcher })
  const end = await ask(bench, tested, agent, encoding, 'spool')
  tally.injected(1, { realServer: true })
  const received = await judgeArchive(end, {}, tally, context)
  const failure = agent.logs.find(isFailure)
  // Where the redo log fits into memory nothing needs the spool.
  tally.expect(
    received !== undefined || DISK_CODES.includes(String(failure?.['code'])),
    `${context}: ${describeEnd(end)}, ${failure?.['code']}: ${failure?.msg}`,
  )
  tally.expect(end.leftBehind.length === 0, `${context}: the client left ${end.leftBehind.join()}`)
  tally.note(`${context}: ${received === undefined ? failure?.['code'] : 'complete'}`)
  await endOf(bench, tested, agent, context)
}

/** A slow client leaves more behind than the disk holds: the backup waits, and goes on. */
const fullSpill = async (bench: Bench, tested: TestedServer, encoding: Encoding): Promise<void> => {
  const { tally } = bench
  const context = `a full spill, ${encoding}`
  const home = new AgentHome(bench.directory('home'), bench.product)
  const launcher = launchWithTmpfs(home.spool, '8m')
  const agent = await home.start([...tested.engineOptions, '--memory-bytes', String(4 * 1024 * 1024)], { launcher })
  const order = { agent, encoding, sid: 'spill', directory: bench.directory('run'), login: tested.login, at: HOLD_AT }
  const held = await holdBackup(order)
  const end = await held.release()
  tally.injected(1, { realServer: true })
  const received = await judgeArchive(end, {}, tally, context)
  const failure = agent.logs.find(isFailure)
  tally.expect(
    received !== undefined || DISK_CODES.includes(String(failure?.['code'])),
    `${context}: ${describeEnd(end)}, ${failure?.['code']}: ${failure?.msg}`,
  )
  tally.note(`${context}: ${received === undefined ? failure?.['code'] : 'complete'}`)
  await endOf(bench, tested, agent, context)
}

/** What of a client's lies on the small disk. */
type FullPlace = 'archive' | 'directory' | 'receipt'
const FULL_PLACES: readonly FullPlace[] = ['archive', 'directory', 'receipt']

/** The client's own disk: it says so, removes its part, and the agent does not call it delivered. */
const fullClient = async (bench: Bench, tested: TestedServer, encoding: Encoding, place: FullPlace): Promise<void> => {
  const { tally } = bench
  const context = `a client whose disk is full for the ${place}, ${encoding}`
  const home = new AgentHome(bench.directory('home'), bench.product)
  const agent = await home.start(tested.engineOptions)
  const directory = bench.directory('run')
  const small = bench.directory('small')
  const end = await fetchOnce({
    ...{ address: agent.address, directory, encoding, sid: 'client', login: tested.login },
    ...(place === 'archive' ? { out: join(small, 'backup.tar') } : {}),
    ...(place === 'directory' ? { extract: join(small, 'backup.tar') } : {}),
    ...(place === 'receipt' ? { receiptFile: join(small, 'backup.tar.receipt') } : {}),
    // A disk that has room when it is looked at, and none for what comes; for a receipt there is none at all.
    launcher: launchWithTmpfs(small, place === 'receipt' ? '4k' : '2m', `ls -A '${small}' >&2`),
  })
  tally.injected(1, { realServer: true })
  const named = end.said.includes('CLIENT_WRITE') || end.said.includes('ENOSPC')
  tally.expect(end.exitCode === 7 && named, `${context}: ${describeEnd(end)}: ${end.said}`)
  tally.expect(!/^backup\.tar/m.test(end.said), `${context}: it left something: ${end.said}`)
  tally.expect(!end.hasFinal && end.leftBehind.length === 0, `${context}: it left ${end.leftBehind.join()}`)
  await endOf(bench, tested, agent, context)
  if (!bench.product.history) return
  if (place === 'receipt') tally.expect((await home.history()).length === 0, `${context}: the agent was asked`)
  else await expectNotDelivered(bench, home, context)
}

const fullOutput = async (bench: Bench, tested: TestedServer, encoding: Encoding): Promise<void> => {
  const { tally } = bench
  const context = `a client that writes to /dev/full, ${encoding}`
  const home = new AgentHome(bench.directory('home'), bench.product)
  const agent = await home.start(tested.engineOptions)
  const end = await fetchOnce({
    ...{ address: agent.address, directory: bench.directory('run'), encoding, sid: 'output', login: tested.login },
    out: '-',
    launcher: ['sh', '-c', 'exec "$@" >/dev/full', 'sh'],
  })
  tally.injected(1, { realServer: true })
  tally.expect(end.exitCode === 7 && end.said.includes('CLIENT_WRITE'), `${context}: ${describeEnd(end)}: ${end.said}`)
  await endOf(bench, tested, agent, context)
  if (bench.product.history) await expectNotDelivered(bench, home, context)
}

const expectNotDelivered = async ({ tally }: Bench, home: AgentHome, context: string): Promise<void> => {
  const rows = await home.history()
  const states = rows.map(({ state }) => state)
  if (rows.length !== 1 || states[0] === 'delivered')
    tally.charge('wrongRows', `${context}: ${states.join() || 'no row'}`)
}

/** Longer than what is left of the journal's last block on the disk, which is the journal's even when the disk is full. */
const STANDS = 'stands'.padEnd(5000, '-')

/** No room for a line: no backup begins. No room for the last line: the backup stands, and is written down later. */
const fullHistory = async (bench: Bench, tested: TestedServer): Promise<void> => {
  const { tally, product } = bench
  const encoding = product.encodings.at(-1) ?? 'octet'
  const home = new AgentHome(bench.directory('home'), product)
  const launcher = launchWithTmpfs(home.state, '64k')
  const agent = await home.start(tested.engineOptions, { launcher })
  // The tmpfs as the agent sees it.
  const ballast = join(`/proc/${agent.pid}/root`, home.state, 'ballast')

  fillUp(ballast)
  const refused = await ask(bench, tested, agent, encoding, 'refused')
  tally.injected(1, { realServer: true })
  tally.expect(
    !refused.hasFinal && JSON.stringify(refused.report ?? '').includes('HISTORY_'),
    `a full history: ${describeEnd(refused)}: ${refused.said.slice(0, 300)}`,
  )
  rmSync(ballast)

  const directory = bench.directory('run')
  const held = await holdBackup({ agent, encoding, sid: STANDS, directory, login: tested.login, at: HOLD_AT })
  fillUp(ballast)
  const end = await held.release()
  tally.injected(1, { realServer: true })
  const received = await judgeArchive(end, {}, tally, 'a history that is full at the end')
  tally.expect(received !== undefined, `a history that is full at the end: ${describeEnd(end)}: ${agent.logTail}`)
  const { history } = await agentStatus({ host: agent.host, port: agent.port })
  tally.expect(history === 'degraded', `a history that is full at the end: the agent calls it ${history}`)
  rmSync(ballast)

  const after = await ask(bench, tested, agent, encoding, 'after')
  tally.expect(after.hasFinal, `when there is room again: ${describeEnd(after)}`)
  const rows = await historyInside(agent, home)
  const [stands] = rows.filter(({ sid }) => sid === STANDS)
  if (stands === undefined || !['delivered', 'sent-unconfirmed'].includes(stands.state)) {
    tally.charge('wrongRows', `a history that was full at the end calls the backup ${stands?.state ?? 'nothing'}`)
  }
  await endOf(bench, tested, agent, 'a full history')
}

/** Bytes until there is no room for one more. */
const fillUp = (path: string): void => {
  const file = openSync(path, 'w')
  try {
    for (let bytes = 4096; bytes >= 1; ) {
      try {
        writeSync(file, Buffer.alloc(bytes))
      } catch {
        bytes = Math.floor(bytes / 2)
      }
    }
  } finally {
    closeSync(file)
  }
}

const historyInside = (agent: AgentProcess, home: AgentHome) =>
  home.history(['nsenter', '--target', String(agent.pid), '--mount'])

const endOf = async (bench: Bench, tested: TestedServer, agent: AgentProcess, context: string): Promise<void> => {
  const { tally } = bench
  for (const lock of await tested.locksLeft(bench.goneWithinMs)) tally.charge('locks', `${context}: ${lock}`)
  const { exitCode } = await agent.stop()
  tally.expect(exitCode === 0, `${context}: the agent ended with ${exitCode}: ${agent.logTail}`)
  for (const problem of bugsIn(agent)) tally.charge('surprises', `${context}: ${problem}`)
}
