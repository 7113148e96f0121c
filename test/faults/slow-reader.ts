/**
 * A client that stops reading while the server is locked: how long does an INSERT wait?
 *
 *     before locks    100 MB of InnoDB are on their way
 *     FLUSH           100 MB of an idle MyISAM table
 *     BLOCK_DDL       100 MB of a MyISAM table that is in use
 *     BLOCK_COMMIT    100 MB of the server's general log
 *
 * Each stage has a server of its own, with so much in that stage that no buffer on the
 * way can hold it. The client pauses when the agent's log names the stage. With room for
 * the spill nobody on the server may notice; without, the agent must give the backup up
 * within 12 s. Beside it the plain pipe, which does neither.
 */

import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { mustRun } from '../rig/run-program.ts'
import { AgentHome } from './agent-home.ts'
import { ClientRun } from './client-run.ts'
import { FaultProxy, type ProxiedConnection } from './fault-proxy.ts'
import { isFailure } from './held-backup.ts'
import { judgeArchive } from './judge-archive.ts'
import { plainPipe } from './plain-pipe.ts'
import type { Encoding } from './product.ts'
import { type Bench, inLanes, type Scenario } from './scenario.ts'
import { TestedServer } from './tested-server.ts'
import { WriteProbe } from './write-probe.ts'

const STAGES = ['before locks', 'FLUSH', 'BLOCK_DDL', 'BLOCK_COMMIT'] as const
type Stage = (typeof STAGES)[number]

/** Most of the time is waiting; what is not must not wait for the others. */
const LANES = 2

const MB = 1_000_000
const STAGE_MEGABYTES = 120
/** So that no stage is over before its name is in the log. */
const LINE_BYTES_PER_SECOND = 100 * MB

/** Longest INSERT that a user of the shop may feel. Source: the goals of the fault matrix. */
const LIMIT_WITH_ROOM_MS = 2000
const LIMIT_WITHOUT_ROOM_MS = 12_000

/** Milliseconds. */
interface Longest {
  readonly insert: number
  readonly insertMyisam: number
  readonly alter: number
}

type Reader =
  | { readonly by: 'plain pipe' }
  | { readonly by: Encoding; readonly room: boolean; readonly pauses: boolean }

interface Row {
  readonly stage: Stage
  readonly reader: Reader
  readonly longest: Longest
  readonly end: string
}

export const slowReader: Scenario = {
  name: 'slow-reader',
  fault: 'Stall 10 min',
  does: 'a client pauses in each stage of a real backup: with room no INSERT waits 2 s and the backup completes, without none waits 12 s',
  needs: ['spill'],
  beside: 'waiting',
  run: async (bench) => {
    const rows: Row[] = []
    const stages = bench.quick ? (['BLOCK_COMMIT'] as const) : STAGES
    await inLanes(stages, LANES, async (stage) => {
      rows.push(...(await tryStage(bench, stage)))
    })
    bench.tally.tables.push(asTable(rows, bench.pauseSeconds))
  },
}

const tryStage = async (bench: Bench, stage: Stage): Promise<Row[]> => {
  const { tally } = bench
  const tested = await startServer(stage)
  const rows: Row[] = []
  try {
    const usual: Reader = {
      by: bench.product.encodings.includes('framed') ? 'framed' : 'octet',
      room: true,
      pauses: false,
    }
    const readers: Reader[] = [
      usual,
      { by: 'plain pipe' },
      ...(['octet', 'framed'] as const)
        .filter((encoding) => bench.product.encodings.includes(encoding))
        .flatMap((by) => [true, false].map((room) => ({ by, room, pauses: true }))),
      usual, // again: other stages are tried at the same time, and not every moment is alike
    ]
    for (const reader of readers) {
      const probes = new Probes(tested)
      const row =
        reader.by === 'plain pipe'
          ? await pausedPipe(bench, tested, stage, probes)
          : await pausedClient(bench, tested, stage, probes, reader)
      tally.expect(!probes.areBroken, `${stage}, ${nameOf(reader)}: the server refused a statement of the probes`)
      await probes.stop()
      rows.push(row)
      bench.say(
        `${stage}, ${nameOf(reader)}: INSERT ${inSeconds(row.longest.insert)}, MyISAM ${inSeconds(row.longest.insertMyisam)}, ALTER ${inSeconds(row.longest.alter)}; ${row.end}`,
      )
    }
  } finally {
    await tested.discard()
  }
  checkRows(bench, rows)
  return rows
}

/** A server with most of its data in one stage. */
const startServer = async (stage: Stage): Promise<TestedServer> => {
  const tested = await TestedServer.start(stage, {
    megabytes: stage === 'before locks' ? STAGE_MEGABYTES : 2,
    redoLogBytes: 96 * 1024 * 1024,
    bufferPoolBytes: 128 * 1024 * 1024,
  })
  const { server } = tested
  if (stage === 'FLUSH' || stage === 'BLOCK_DDL') {
    await server.query(`
      CREATE TABLE faults.large (id INT PRIMARY KEY, note VARBINARY(8000)) ENGINE=MyISAM;
      INSERT INTO faults.large SELECT seq, REPEAT(RANDOM_BYTES(100), 80) FROM faults.seq_1_to_${STAGE_MEGABYTES * 125};
      FLUSH TABLES;`)
  }
  if (stage === 'BLOCK_COMMIT') {
    await server.stop()
    growGeneralLog(join(server.dataDirectory, 'mysql', 'general_log.CSV'))
    await server.restart()
  }
  await mustRun('sync', []) // what was written to get here is not written while somebody's time is taken
  return tested
}

/** Lines as the server writes them, to a log that it does not write to now. */
const growGeneralLog = (path: string): void => {
  const line = `"2026-01-01 00:00:00.000000","root[root] @ localhost []",1,1,"Query","SELECT '${'x'.repeat(880)}'"\n`
  const piece = line.repeat(Math.ceil(MB / line.length))
  const file = openSync(path, 'a')
  for (let written = 0; written < STAGE_MEGABYTES; written += 1) writeSync(file, piece)
  closeSync(file)
}

const pausedPipe = async (bench: Bench, tested: TestedServer, stage: Stage, probes: Probes): Promise<Row> => {
  const inUse = await keepInUse(tested, stage)
  const at = stage === 'before locks' ? 10 * MB : new RegExp(`Acquired locks for BACKUP STAGE ${stage}`)
  const pipe = plainPipe(tested, bench.directory('pipe'), {
    bytesPerSecond: LINE_BYTES_PER_SECOND,
    pause: { at, ms: bench.pauseSeconds * 1000 },
  })
  const { exitCode, saidOk, complaint } = await pipe
  await inUse.end()
  bench.tally.injected(1, { realServer: true })
  const end = exitCode === 0 && saidOk ? COMPLETED : `failed: ${complaint.slice(0, 120)}`
  return { stage, reader: { by: 'plain pipe' }, longest: probes.longest, end }
}

const pausedClient = async (
  bench: Bench,
  tested: TestedServer,
  stage: Stage,
  probes: Probes,
  reader: Extract<Reader, { room: boolean }>,
): Promise<Row> => {
  const { tally } = bench
  const context = `${stage}, ${nameOf(reader)}`
  const home = new AgentHome(bench.directory('home'), bench.product)
  const spill = ['--spill-bytes', reader.room ? String(1024 * MB) : '0']
  const agent = await home.start([...tested.engineOptions, ...spill, '--memory-bytes', String(8 * 1024 * 1024)])
  const proxy = await FaultProxy.start(agent.port, { toClient: { bytesPerSecond: LINE_BYTES_PER_SECOND } })
  const inUse = await keepInUse(tested, stage)
  try {
    const client = new ClientRun({
      address: proxy.address,
      directory: bench.directory('run'),
      encoding: reader.by,
      sid: 'slow',
      login: tested.login,
      silenceSeconds: 600,
    })
    const connection = await proxy.next()
    if (reader.pauses) {
      const reached = untilStage(stage, connection, (wanted) =>
        agent.logged(({ msg, stage: now }) => msg === 'engine stage' && now === wanted),
      )
      await Promise.race([reached, client.ended]) // one that never gets there is no reason to wait for ever
      connection.toClient.pause()
      tally.injected(1, { realServer: true })
      await Promise.race([delay(bench.pauseSeconds * 1000), client.ended])
      connection.toClient.resume()
    }
    const end = await client.ended
    const { longest } = probes // before anything else keeps this process busy
    const received = await judgeArchive(end, {}, tally, context)
    const failure = agent.logs.find(isFailure)
    for (const lock of await tested.locksLeft(bench.goneWithinMs)) tally.charge('locks', `${context}: ${lock}`)
    return {
      stage,
      reader,
      longest,
      end: received === undefined ? `given up: ${failure?.['code'] ?? end.report?.status}` : COMPLETED,
    }
  } finally {
    await inUse.end()
    await proxy.close()
    await agent.stop()
    for (const name of home.leftovers()) tally.charge('leftFiles', `${context}: ${name}`)
  }
}

const COMPLETED = 'completed'

/** All of one stage. The plain pipe stands beside ours, and is not judged. */
const checkRows = ({ tally }: Bench, rows: readonly Row[]): void => {
  const ours = rows.flatMap(({ reader, ...row }) => (reader.by === 'plain pipe' ? [] : [{ ...row, reader }]))
  const usualMs = Math.max(...ours.filter(({ reader }) => !reader.pauses).map(({ longest }) => longest.insertMyisam))
  for (const { stage, reader, longest, end } of ours) {
    const context = `${stage}, ${nameOf(reader)}`
    const limitMs = reader.room ? LIMIT_WITH_ROOM_MS : LIMIT_WITHOUT_ROOM_MS
    tally.expect(longest.insert < limitMs, `${context}: an INSERT took ${inSeconds(longest.insert)}`)
    // Tables without transactions wait while the backup program copies them, however fast its reader is.
    const moreMs = longest.insertMyisam - usualMs
    tally.expect(moreMs < limitMs, `${context}: an INSERT into MyISAM took ${inSeconds(moreMs)} more than usual`)
    // Before any lock is taken a full spill only makes the backup wait.
    const mustComplete = reader.room || stage === 'before locks'
    tally.expect(!mustComplete || end === COMPLETED, `${context}: the backup did not complete`)
  }
}

/** Three kinds of work that three of the stages keep waiting. */
class Probes {
  readonly #insert: WriteProbe
  readonly #insertMyisam: WriteProbe
  readonly #alter: WriteProbe

  constructor({ server }: TestedServer) {
    this.#insert = new WriteProbe(server, () => 'INSERT INTO faults.probe (at) VALUES (NOW(6))', 20)
    this.#insertMyisam = new WriteProbe(server, () => 'INSERT INTO faults.probe_myisam (at) VALUES (NOW(6))', 20)
    this.#alter = new WriteProbe(server, (count) => `ALTER TABLE faults.probe_ddl COMMENT = '${count}'`, 200)
  }

  get longest(): Longest {
    return {
      insert: this.#insert.longestMs,
      insertMyisam: this.#insertMyisam.longestMs,
      alter: this.#alter.longestMs,
    }
  }

  get areBroken(): boolean {
    return [this.#insert, this.#insertMyisam, this.#alter].some((probe) => probe.isBroken)
  }

  async stop(): Promise<void> {
    await Promise.all([this.#insert, this.#insertMyisam, this.#alter].map((probe) => probe.stop()))
  }
}

/** Resolves when the pause is due. */
const untilStage = async (
  stage: Stage,
  connection: ProxiedConnection,
  logged: (stage: string) => Promise<unknown>,
): Promise<void> => {
  if (stage !== 'before locks') {
    await logged(stage)
    return
  }
  let isOver = false
  void connection.closed.then(() => {
    isOver = true
  })
  while (connection.toClient.forwarded < 10 * MB && !isOver) await delay(5)
}

/** A table in use is not copied before BLOCK_DDL. */
const keepInUse = async (tested: TestedServer, stage: Stage): Promise<{ end(): Promise<void> }> => {
  if (stage !== 'BLOCK_DDL') return { end: async () => {} }
  const holding = tested.server.query('LOCK TABLES faults.large READ; SELECT SLEEP(1000)').catch(() => [])
  const find = "SELECT id FROM information_schema.processlist WHERE info = 'SELECT SLEEP(1000)'"
  let [row] = await tested.server.query(find)
  for (; row === undefined; [row] = await tested.server.query(find)) await delay(10)
  const [id] = row
  return {
    end: async () => {
      await tested.server.query(`KILL ${id}`)
      await holding
    },
  }
}

const nameOf = (reader: Reader): string =>
  reader.by === 'plain pipe'
    ? 'plain pipe'
    : `${reader.by}, ${!reader.pauses ? 'never paused' : reader.room ? 'room to spill' : 'no room'}`

const inSeconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

const asTable = (rows: readonly Row[], pauseSeconds: number): string => {
  const order = (row: Row): number => STAGES.indexOf(row.stage)
  return [
    `| the reader pauses ${pauseSeconds} s in | reader | longest INSERT | longest INSERT, MyISAM | longest ALTER | backup |`,
    '|---|---|---:|---:|---:|---|',
    ...[...rows]
      .sort((a, b) => order(a) - order(b))
      .map(({ stage, reader, longest, end }) =>
        [
          '',
          ...[
            stage,
            nameOf(reader),
            inSeconds(longest.insert),
            inSeconds(longest.insertMyisam),
            inSeconds(longest.alter),
            end,
          ],
          '',
        ]
          .join(' | ')
          .trim(),
      ),
  ].join('\n')
}
