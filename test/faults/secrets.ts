/**
 * Odd passwords, one after the other: each of them logs in and makes a backup, wrong ones beside it do
 * not, and no form of any of them is found where it has no business.
 *
 *     looked at            while the backup program runs                 afterwards
 *     processes            command lines, environments, open files
 *     files                                                              state, spool, temporary directory, log file, receipt
 *     words                                                              log (every level, every destination), client, other clients
 *
 * The one place that is allowed is the option file of the backup program: it has no name, and
 * nobody but its user and root may open it again through /proc.
 */

import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { connectServer } from '../../lib/server/index.ts'
import { CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { converse } from '../rig/raw-client.ts'
import { runProgram } from '../rig/run-program.ts'
import { AgentHome } from './agent-home.ts'
import { type CanaryPassword, canaryPasswords, UNCARRIED } from './canary-passwords.ts'
import { describeEnd, fetchOnce } from './client-run.ts'
import { holdBackup } from './held-backup.ts'
import { Canary, descendantsOf, openDescriptorsOf, type SeenProcess } from './host-look.ts'
import { judgeArchive } from './judge-archive.ts'
import type { Bench, Scenario } from './scenario.ts'
import { TestedServer } from './tested-server.ts'
import { toFile, toStandardError, toTerminal, type WatchedAgent } from './watched-agent.ts'

/** Early in the tables: the backup program runs, and waits for us. */
const HOLD_AT = 300_000

/** `option-file.ts` of the engines makes it, takes its name away, and hands it on as descriptor 3. */
const OPTION_FILE = /\/login-[0-9a-f]{24} \(deleted\)$/

/** User and group "nobody". */
const SOMEBODY = 65_534

export const secrets: Scenario = {
  name: 'secrets',
  fault: 'a secret in a command line, an environment, a log, the history, a file, an error text, the wire',
  does: 'odd passwords, each of which must log in and be found nowhere, and wrong ones beside them that must not log in',
  run: async (bench) => {
    const tested = await TestedServer.start('secrets', { megabytes: 40, binaryLog: true })
    try {
      const word = `Kv${bench.random.between(1e8, 1e9).toString(36)}q7Zt4`
      const all = canaryPasswords(word)
      const chosen = bench.quick ? [bench.random.pick(all)] : all
      await withAgents(bench, tested, async (agents) => {
        for (const [index, password] of chosen.entries()) {
          const agent = agents[index % agents.length] as WatchedAgent
          await new Trial(bench, tested, agent, password, index).run()
          bench.say(`${index + 1} of ${chosen.length}: ${password.odd}`)
        }
        await tryUncarried(bench, agents[0] as WatchedAgent, word)
      })
      bench.tally.note(`${chosen.length} passwords: ${chosen.map(({ odd }) => odd).join(', ')}`)
    } finally {
      await tested.discard()
    }
  },
}

/** One that logs to standard error, one to a file, one to a terminal. All say everything that they ever say. */
const withAgents = async (
  bench: Bench,
  tested: TestedServer,
  work: (agents: readonly WatchedAgent[]) => Promise<void>,
): Promise<void> => {
  const agents: WatchedAgent[] = []
  const options = [...tested.engineOptions, '--log-level', 'trace', '--spill-bytes', '0']
  try {
    for (const start of bench.quick ? [toStandardError] : [toStandardError, toFile, toTerminal]) {
      agents.push(await start(new AgentHome(bench.directory('home'), bench.product), options))
    }
    await work(agents)
  } finally {
    for (const agent of agents) await agent.stop()
  }
}

class Trial {
  readonly #bench: Bench
  readonly #tested: TestedServer
  readonly #agent: WatchedAgent
  readonly #password: CanaryPassword
  readonly #canary: Canary
  readonly #user: string
  readonly #context: string

  constructor(bench: Bench, tested: TestedServer, agent: WatchedAgent, password: CanaryPassword, index: number) {
    this.#bench = bench
    this.#tested = tested
    this.#agent = agent
    this.#password = password
    this.#canary = new Canary('', password.right)
    this.#user = `canary${index}`
    this.#context = `a password with ${password.odd}`
  }

  async run(): Promise<void> {
    await this.#tested.server.createBackupUser(this.#user, this.#password.right)
    await this.#login()
    await this.#backup()
    await this.#deployedBackup()
    await this.#record()
    for (const wrong of this.#password.wrong) await this.#refused(wrong)
    await this.#otherClients()
    this.#search('the words of the agent', this.#agent.words())
    for (const where of this.#canary.foundBelow(this.#agent.home.path)) this.#charge(where)
  }

  /** By the driver, as the agent asks the server. */
  async #login(): Promise<void> {
    const { socket } = this.#tested.server
    try {
      await (await connectServer({ socket, user: this.#user, password: this.#password.right })).close()
    } catch (error) {
      this.#bench.tally.charge('surprises', `${this.#context}: the driver cannot log in: ${error}`)
    }
  }

  /** A client of 0.77, held while the backup program runs. */
  async #backup(): Promise<void> {
    const { tally } = this.#bench
    const sid = `${this.#user}-framed`
    const directory = this.#bench.directory('run')
    const login = { user: this.#user, password: this.#password.right }
    const held = await holdBackup({ agent: this.#agent, encoding: 'framed', sid, directory, login, at: HOLD_AT })
    const children = descendantsOf(this.#agent.pid)
    const everybody = [...children, seen(this.#agent.pid, 'the agent'), seen(held.client.pid, 'the client')]
    tally.expect(
      children.some(({ command }) => command.includes('mariadb-backup')),
      `${this.#context}: the backup program did not run any more when it was looked at`,
    )
    for (const where of this.#canary.foundInProcesses(everybody)) this.#charge(where)
    for (const where of this.#canary.foundInOpenFiles(everybody, isOptionFile)) this.#charge(where)
    for (const where of this.#canary.foundBelow(this.#agent.home.path)) this.#charge(`while it runs, ${where}`)
    await this.#lookAtOptionFile(children)

    const end = await held.release()
    tally.injected(1, { realServer: true })
    const received = await judgeArchive(end, {}, tally, this.#context)
    tally.expect(received !== undefined, `${this.#context}: no backup (${describeEnd(end)}): ${end.said}`)
    this.#search('the words of the client', end.said)
    this.#search('the archive', end.hasFinal ? readFileSync(end.final) : '')
    this.#search('the receipt', end.hasFinal ? readFileSync(`${end.final}.receipt`) : '')
  }

  /** What the option file of the backup program is, and who may open it. */
  async #lookAtOptionFile(children: readonly SeenProcess[]): Promise<void> {
    const { tally } = this.#bench
    const files = children.flatMap(({ pid }) => openDescriptorsOf(pid).filter(({ target }) => isOptionFile(target)))
    tally.expect(files.length > 0, `${this.#context}: no option file was found, so nobody knows where the login was`)
    for (const { path } of files) {
      const { mode, nlink } = statSync(path)
      tally.expect(
        (mode & 0o777) === 0o600 && nlink === 0,
        `${this.#context}: the option file has mode ${mode.toString(8)}`,
      )
      if (process.geteuid?.() !== 0) continue
      const other = await runProgram('setpriv', [...AS_SOMEBODY, 'cat', path])
      tally.expect(other.exitCode !== 0, `${this.#context}: another user of the host reads the option file by ${path}`)
    }
  }

  /** A client of 0.76: everything that the agent says to it, the archive included. */
  async #deployedBackup(): Promise<void> {
    const { bytes } = await converse(this.#agent.port, deployedRequest(this.#user, this.#password.right))
    this.#bench.tally.injected(1, { realServer: true })
    this.#bench.tally.expect(
      bytes.includes('status=SENDING\n'),
      `${this.#context}: no backup for a client of 0.76: ${bytes.subarray(0, 400).toString('latin1')}`,
    )
    this.#search('the wire towards a client of 0.76', bytes)
  }

  /** `backup-client record`, which plays a request with a password and writes the conversation down. */
  async #record(): Promise<void> {
    const directory = this.#bench.directory('record')
    const [request, out, password] = ['request', 'out', 'password'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    writeFileSync(request, RECORDED_REQUEST.replace('USER', this.#user))
    writeFileSync(password, this.#password.right, { mode: 0o600 })
    const words = ['record', `127.0.0.1:${this.#agent.port}`, '--request', request, '--out', out]
    const run = await runProgram(process.execPath, [CLIENT_PROGRAM, ...words, '--password-file', password])
    this.#bench.tally.expect(run.exitCode === 0, `${this.#context}: cannot be recorded: ${run.stderr}`)
    this.#search('what record has said', run.stdout.toString() + run.stderr)
    if (run.exitCode === 0) this.#search('a recorded session', readFileSync(out))
  }

  async #refused(wrong: string): Promise<void> {
    const { tally } = this.#bench
    const directory = this.#bench.directory('wrong')
    const login = { user: this.#user, password: wrong }
    const address = `127.0.0.1:${this.#agent.port}`
    const end = await fetchOnce({ address, encoding: 'framed', sid: `${this.#user}-wrong`, directory, login })
    tally.injected(1, { realServer: true })
    tally.expect(
      end.report?.status === 'FAILED' && /ENGINE_LOGIN|refused the login/.test(JSON.stringify(end.report)),
      `${this.#context}: ${JSON.stringify(wrong.slice(0, 40))} was not refused as a wrong password: ${describeEnd(end)}`,
    )
    this.#search('the words to who had it wrong', end.said)
    if (wrong.length >= SHORTEST_SEARCHED) {
      const form = new Canary('', wrong).foundIn(end.said + this.#agent.words())
      if (form !== undefined) this.#charge(`a wrong password in the words of client or agent (${form})`)
    }
  }

  /** What everybody may ask. */
  async #otherClients(): Promise<void> {
    const sid = `${this.#user}-framed`
    for (const pairs of [['action=status'], ['action=ping'], ['action=verdict', `sid=${sid}`], ['action=monitor']]) {
      const { bytes } = await converse(this.#agent.port, `0.77.0\n${[`${pairs.length}`, ...pairs].join('\n')}\n\n`)
      this.#search(`the answer to ${pairs[0]} of another client`, bytes)
    }
    this.#search('the history, as it is printed', JSON.stringify(await this.#agent.home.history()))
  }

  #search(where: string, words: string | Buffer): void {
    const form = this.#canary.foundIn(words)
    if (form !== undefined) this.#charge(`${where} (${form})`)
  }

  #charge(where: string): void {
    this.#bench.tally.charge('secrets', `${this.#context}: ${where}`)
  }
}

/** A wrong password that is a common word is found everywhere. */
const SHORTEST_SEARCHED = 16

const AS_SOMEBODY = ['--reuid', `${SOMEBODY}`, '--regid', `${SOMEBODY}`, '--clear-groups'] as const

const isOptionFile = (target: string): boolean => OPTION_FILE.test(target)

const seen = (pid: number, command: string): SeenProcess => ({ pid, startTicks: '', command })

const deployedRequest = (user: string, password: string): string => {
  const pairs = [
    'action=copy from',
    `user=${user}`,
    `password=${password}`,
    'backup-level=0',
    'file=ZRM_LINKS/.',
    'agent-stream-encoding=application/octet-stream',
  ]
  return `0.76.1\n${pairs.length}\n${pairs.join('\n')}\n\n`
}

const RECORDED_REQUEST = `# kv-backup-agent wire session 1
> 0.77.0\\n
> 5\\n
> action=copy from\\n
> user=USER\\n
> password={password}\\n
> backup-level=0\\n
> agent-stream-encoding=application/octet-stream\\n
> \\n
`

/** Passwords that no line can carry: refused by name, on either side, and not shown. */
const tryUncarried = async (bench: Bench, { port, words }: WatchedAgent, word: string): Promise<void> => {
  const { tally } = bench
  for (const [name, make] of UNCARRIED) {
    const password = make(word)
    const directory = bench.directory('uncarried')
    const login = { user: 'canary0', password }
    const order = { address: `127.0.0.1:${port}`, encoding: 'framed', sid: name, directory, login } as const
    const end = await fetchOnce(order)
    tally.injected()
    // The newline at the end of a password file is its editor's; this one stands in the middle.
    tally.expect(
      end.exitCode !== 0 && /password/.test(end.said) && !end.hasFinal,
      `a password with ${name}: not refused by name: ${end.said}`,
    )
    const { bytes } = await converse(port, deployedRequest('canary0', password))
    tally.expect(!bytes.includes('SENDING'), `a password with ${name}: the agent takes it`)
    for (const said of [end.said, bytes.toString('latin1'), words()]) {
      if (said.includes(word))
        tally.charge('secrets', `a password with ${name}: in ${JSON.stringify(said.slice(0, 200))}`)
    }
  }
}
