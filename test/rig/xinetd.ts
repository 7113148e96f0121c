/**
 * A real xinetd of our own: loopback ports, our user, a configuration file of its own.
 *
 *     const xinetd = await Xinetd.start([{ name: 'backup', args: ['inetd', '--log', 'none'] }])
 *     xinetd.port('backup')
 *     await xinetd.stop()
 *
 * The services are what a package would install: `socket_type = stream`, `protocol = tcp`.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { AGENT_PROGRAM } from './agent-process.ts'
import { freePorts } from './free-port.ts'
import { forgetProcess, makeGuardedDirectory, removeGuardedDirectory, watchProcess } from './guard.ts'
import { plainEnvironment } from './run-program.ts'

export interface XinetdService {
  readonly name: string
  /** What follows the program's name on its command line. */
  readonly args: readonly string[]
  /** inetd's wait mode; `no` by default. */
  readonly wait?: boolean
  /** Added to the environment of the server. */
  readonly environment?: Readonly<Record<string, string>>
}

/** How often other ports are tried. */
const PORT_CHOICES = 3

export class Xinetd {
  readonly #home: string
  readonly #process: ChildProcess
  readonly #ports: ReadonlyMap<string, number>

  private constructor(home: string, child: ChildProcess, ports: Map<string, number>) {
    this.#home = home
    this.#process = child
    this.#ports = ports
  }

  static async start(services: readonly XinetdService[]): Promise<Xinetd> {
    return Xinetd.#startOnFree(
      services.map(({ name }) => name),
      (ports) => services.map((service) => section(service, ports.get(service.name) as number)).join('\n'),
    )
  }

  /** On a file that is there already, made to fit: one service. */
  static async startOn(name: string, file: (port: number) => string): Promise<Xinetd> {
    return Xinetd.#startOnFree([name], (ports) => file(ports.get(name) as number))
  }

  /** xinetd cannot be asked for a port of the system's choice, and serves the others when one has been taken meanwhile. */
  static async #startOnFree(names: readonly string[], text: (ports: Map<string, number>) => string): Promise<Xinetd> {
    for (let left = PORT_CHOICES; ; left -= 1) {
      const free = await freePorts(names.length)
      const ports = new Map(names.map((name, index) => [name, free[index] as number]))
      const xinetd = await Xinetd.#startOn(text(ports), ports)
      const available = await xinetd.#available()
      if (available === names.length) return xinetd
      const { log } = xinetd
      await xinetd.stop()
      if (left === 0) throw new Error(`xinetd serves ${available} of ${names.length}:\n${log}`)
    }
  }

  static async #startOn(text: string, ports: Map<string, number>): Promise<Xinetd> {
    const home = makeGuardedDirectory('xinetd')
    const file = join(home, 'xinetd.conf')
    writeFileSync(file, text)
    const words = ['-dontfork', '-filelog', join(home, 'log'), '-f', file, '-pidfile', join(home, 'pid')]
    // What Node's loader says under NODE_DEBUG comes before any code of ours: `passenv` keeps such things away.
    const environment = { ...plainEnvironment(), NODE_DEBUG: '*' }
    const child = spawn('xinetd', words, { stdio: 'ignore', env: environment, detached: true })
    if (child.pid === undefined) throw (await once(child, 'error'))[0]
    watchProcess(child.pid, 'xinetd')
    return new Xinetd(home, child, ports)
  }

  /** How many services it has begun to serve; 0 when it found none and has left. */
  async #available(): Promise<number> {
    for (;;) {
      const ended = this.#process.exitCode !== null
      const started = /Started working: (\d+) available/.exec(this.log)
      if (started !== null) return Number(started[1])
      if (ended) return 0
      await delay(20)
    }
  }

  port(name: string): number {
    return this.#ports.get(name) ?? 0
  }

  /** What xinetd says itself. It opens a file for that, and could not open a pipe of Node's. */
  get log(): string {
    try {
      return readFileSync(join(this.#home, 'log'), 'utf8')
    } catch {
      return ''
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** Stops xinetd; its servers end by themselves. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      const exited = once(this.#process, 'exit')
      this.#process.kill('SIGTERM')
      await exited
    }
    forgetProcess(this.pid)
    await removeGuardedDirectory(this.#home)
  }
}

const section = ({ name, args, wait = false, environment = {} }: XinetdService, port: number): string => `
service ${name}
{
  type         = UNLISTED
  socket_type  = stream
  protocol     = tcp
  bind         = 127.0.0.1
  port         = ${port}
  wait         = ${wait ? 'yes' : 'no'}
  user         = ${userInfo().username}
  passenv      = PATH
  umask        = 077
${wait ? '' : '  instances    = 16\n  per_source   = 8'}
  cps          = 100 1
  server       = ${process.execPath}
  server_args  = ${[AGENT_PROGRAM, ...args].join(' ')}
${Object.entries(environment)
  .map(([key, value]) => `  env         += ${key}=${value}`)
  .join('\n')}
}
`
