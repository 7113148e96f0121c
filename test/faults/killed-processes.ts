/**
 * `kill -9` at random instants of real backups: the agent, the backup program, the server, the client.
 *
 * The stream is held at a random byte, the victim is killed, the stream goes on. Afterwards
 * the client has no file or a whole one, and the host is clean within two seconds: no process,
 * no session and no lock; after the next start of the agent no file; and nowhere a secret.
 */

import type { AgentProcess } from '../rig/agent-process.ts'
import { AgentHome } from './agent-home.ts'
import { ClientRun, describeEnd } from './client-run.ts'
import { type Fault, FaultProxy } from './fault-proxy.ts'
import { auditHistory, type ExpectedJob } from './history-audit.ts'
import { descendantsOf, processesTouching, runs, untilNone } from './host-look.ts'
import { judgeArchive } from './judge-archive.ts'
import { type Dialogue, dialogueOf, type Encoding } from './product.ts'
import { type Bench, inLanes, type Scenario } from './scenario.ts'
import { spread } from './tally.ts'
import { TestedServer } from './tested-server.ts'

type Victim = 'agent' | 'child' | 'client' | 'server'

interface Injection {
  readonly victim: Victim
  readonly encoding: Encoding
  readonly protocol: Dialogue
  readonly number: number
  /** Place in the stream, 0 to 1; a little more than the whole now and then. */
  readonly place: number
  /** Whether the stream goes on before the victim is killed, or after. */
  readonly running: boolean
}

/** How a job may be remembered whose victim was killed in its middle. A victim that was done already hurts nobody. */
const STATES: Readonly<Record<Victim, readonly string[]>> = {
  // What the kernel has of a stream it goes on sending, whatever becomes of the agent or the client.
  agent: ['interrupted', 'sent-unconfirmed'],
  child: ['failed'],
  client: ['failed', 'cancelled', 'sent-unconfirmed'],
  server: ['failed'],
}
const COMPLETE = ['delivered', 'sent-unconfirmed']

/** The backup program itself notices within seconds that the server is gone; that is none of our doing. */
const SERVER_NOTICED_WITHIN_MS = 10_000
/** A job whose victim was done already goes on to its end. */
const JOB_ENDS_WITHIN_MS = 60_000

/** Bytes on the wire for each of the archive, near enough to say how far along a stream is. */
const WIRE_PER_BYTE: Readonly<Record<Encoding, number>> = { octet: 1, framed: 1, base64: 77 / 57, uuencode: 62 / 45 }

export const killedProcesses: Scenario = {
  name: 'killed-processes',
  fault: '`kill -9` agent; child crash; DB restart; client gone',
  does: 'agent, backup program, server or client killed by SIGKILL at random bytes of a real backup',
  run: async (bench) => {
    const times: Record<Victim, number> = bench.quick
      ? { agent: 3, child: 2, client: 2, server: 1 }
      : { agent: 160, child: 65, client: 65, server: 30 }
    const injections = makeInjections(bench, times)
    const lanes = await Promise.all(Array.from({ length: bench.times(2, 1) }, (_, lane) => Lane.start(bench, lane)))
    try {
      let done = 0
      await inLanes(injections, lanes.length, async (injection, lane) => {
        await lanes[lane]?.inject(injection)
        done += 1
        if (done % 25 === 0) bench.say(`${done} of ${injections.length} killed`)
      })
      for (const lane of lanes) await lane.finish()
    } finally {
      for (const lane of lanes) await lane.discard()
    }
    const gone = lanes.flatMap(({ goneMs }) => goneMs)
    bench.tally.note(
      `killed: ${Object.entries(times)
        .map(([victim, count]) => `${victim} ${count}`)
        .join(', ')}`,
    )
    bench.tally.note(
      `of the clients ${lanes.reduce((sum, { whole }) => sum + whole, 0)} had a whole backup all the same, proved again`,
    )
    bench.tally.note(`from the kill to the last process of the engine gone: ${spread(gone)}`)
  },
}

const makeInjections = (bench: Bench, times: Readonly<Record<Victim, number>>): Injection[] => {
  const victims = (Object.keys(times) as Victim[]).flatMap((victim) => Array<Victim>(times[victim]).fill(victim))
  return victims
    .map((victim, number) => ({
      victim,
      number,
      ...pickDialogue(bench),
      place: bench.random.next() * 1.02,
      running: bench.random.next() < 0.5,
      order: bench.random.next(),
    }))
    .sort((a, b) => a.order - b.order)
}

const pickDialogue = ({ random, product }: Bench): Pick<Injection, 'encoding' | 'protocol'> => {
  const encoding = random.pick(product.encodings)
  return { encoding, protocol: random.next() < 0.3 ? '0.77' : dialogueOf(encoding) }
}

/** A server and an agent of their own. */
class Lane {
  readonly #bench: Bench
  readonly #tested: TestedServer
  readonly #home: AgentHome
  readonly #jobs: ExpectedJob[] = []
  readonly goneMs: number[] = []
  whole = 0
  #archiveBytes = 0
  #agent: AgentProcess | undefined

  private constructor(bench: Bench, tested: TestedServer, home: AgentHome) {
    this.#bench = bench
    this.#tested = tested
    this.#home = home
  }

  static async start(bench: Bench, number: number): Promise<Lane> {
    const tested = await TestedServer.start(`lane${number}`, { megabytes: bench.times(20, 4) })
    const lane = new Lane(bench, tested, new AgentHome(bench.directory('home'), bench.product))
    await lane.#measure()
    return lane
  }

  async inject(injection: Injection): Promise<void> {
    const { victim, encoding, protocol, number, place, running } = injection
    const { tally } = this.#bench
    const sid = `${victim}-${number}`
    const context = `${sid}, ${encoding} of ${protocol}, at ${(place * 100).toFixed(1)} % of the stream`
    const agent = await this.#running()
    const at = Math.max(1, Math.floor(this.#archiveBytes * WIRE_PER_BYTE[encoding] * place))
    const hold: Fault = { at, do: 'hold' }
    const proxy = await FaultProxy.start(agent.port, { toClient: { faults: [hold] } })
    const client = this.#client(proxy.address, encoding, protocol, sid)
    const connection = await proxy.next()
    await Promise.race([connection.toClient.happened(hold), client.ended])

    const processes = descendantsOf(agent.pid)
    for (const where of this.#tested.canary.foundInProcesses([...processes, ...agentItself(agent)])) {
      tally.charge('secrets', `${context}: ${where}`)
    }
    tally.injected(1, { realServer: true })
    if (running) connection.toClient.resume()
    const killed = performance.now()
    const hit = await this.#kill(
      victim,
      agent,
      client,
      processes.map(({ pid }) => pid),
    )
    connection.toClient.resume()

    const gone = await untilNone(
      () => [
        ...processes.filter(runs),
        ...processesTouching(this.#home.path).filter(({ pid }) => pid !== agent.pid && pid !== client.pid),
      ],
      hit ? this.#bench.goneWithinMs + (victim === 'server' ? SERVER_NOTICED_WITHIN_MS : 0) : JOB_ENDS_WITHIN_MS,
    )
    if (hit && victim !== 'server') this.goneMs.push(performance.now() - killed)
    for (const { command } of gone.left) tally.charge('orphans', `${context}: ${command.slice(0, 80)}`)

    const end = await client.ended
    await proxy.close()
    if (victim === 'server') await this.#tested.server.restart()
    for (const lock of await this.#tested.locksLeft(this.#bench.goneWithinMs))
      tally.charge('locks', `${context}: ${lock}`)
    this.#searchSecrets(context, agent, end.said)
    if (victim === 'agent') await this.#startAgain(context)

    const received = await judgeArchive(end, {}, tally, context)
    if (received !== undefined) this.whole += 1
    tally.expect(
      victim === 'client' || end.leftBehind.length === 0,
      `${context}: the client left its part (${describeEnd(end)})`,
    )
    const states = received === undefined && hit ? STATES[victim] : [...COMPLETE, ...STATES[victim]]
    this.#jobs.push({ sid, received, states })
  }

  /** The last agent stops in order; then nothing of any of them is left, and the history is right. */
  async finish(): Promise<void> {
    await (await this.#running()).stop()
    this.#agent = undefined
    const { tally, product } = this.#bench
    for (const name of this.#home.leftovers()) tally.charge('leftFiles', `after the last agent: ${name}`)
    if (product.history) await auditHistory(this.#home, this.#jobs, tally)
    else tally.skip('the history: the product keeps none')
  }

  async discard(): Promise<void> {
    await this.#agent?.stop('SIGKILL')
    await this.#tested.discard()
  }

  /** How long the archive is, give or take what the server writes meanwhile. */
  async #measure(): Promise<void> {
    const agent = await this.#running()
    const end = await this.#client(agent.address, 'octet', '0.76', 'whole').ended
    const received = await judgeArchive(end, {}, this.#bench.tally, 'without a fault')
    if (received === undefined) throw new Error(`a backup without a fault failed: ${end.said}\n${agent.logTail}`)
    this.#jobs.push({ sid: 'whole', received, states: COMPLETE })
    this.#archiveBytes = end.report?.status === 'COMPLETE' ? end.report.bytes : 0
  }

  #client(address: string, encoding: Encoding, protocol: Dialogue, sid: string): ClientRun {
    return new ClientRun({
      address,
      encoding,
      protocol,
      sid,
      login: this.#tested.login,
      directory: this.#bench.directory('run'),
    })
  }

  async #running(): Promise<AgentProcess> {
    this.#agent ??= await this.#home.start(this.#tested.engineOptions)
    return this.#agent
  }

  /** @returns whether the victim was there to be killed */
  async #kill(victim: Victim, agent: AgentProcess, client: ClientRun, children: readonly number[]): Promise<boolean> {
    switch (victim) {
      case 'agent':
        await agent.stop('SIGKILL')
        this.#agent = undefined
        return true
      case 'child':
        return children.length > 0 && tryKill(children[0] ?? 0)
      case 'client':
        return tryKill(client.pid)
      case 'server':
        await this.#tested.server.kill9()
        return children.length > 0
    }
  }

  /** What a killed agent has left is gone when the next one has started. */
  async #startAgain(context: string): Promise<void> {
    const agent = await this.#running()
    const left = this.#home.leftovers().filter((name) => !name.startsWith(`temporary/kv-backup-agent-${agent.pid}-`))
    for (const name of left) this.#bench.tally.charge('leftFiles', `${context}: ${name}`)
  }

  #searchSecrets(context: string, agent: AgentProcess, said: string): void {
    const { canary } = this.#tested
    const { tally } = this.#bench
    const inWords = [
      ['the agent’s log', agent.stderr + agent.stdout],
      ['the words of the client', said],
    ] as const
    for (const where of canary.foundBelow(this.#home.path)) tally.charge('secrets', `${context}: ${where}`)
    for (const [where, words] of inWords) {
      const form = canary.foundIn(words)
      if (form !== undefined) tally.charge('secrets', `${context}: ${where} (${form})`)
    }
  }
}

const agentItself = ({ pid }: AgentProcess) => [{ pid, startTicks: '', command: 'the agent' }]

const tryKill = (pid: number): boolean => {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch {
    return false
  }
}
