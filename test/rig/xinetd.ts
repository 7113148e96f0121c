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
import { createServer } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { AGENT_PROGRAM } from './agent-process.ts'
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
    const ports = new Map<string, number>()
    for (const { name } of services) ports.set(name, await freePort())
    return Xinetd.#startOn(services.map((service) => section(service, ports.get(service.name) ?? 0)).join('\n'), ports)
  }

  /** On a file that is there already, made to fit: one service, whose port is the system's choice. */
  static async startOn(name: string, file: (port: number) => string): Promise<Xinetd> {
    const port = await freePort()
    return Xinetd.#startOn(file(port), new Map([[name, port]]))
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
    const xinetd = new Xinetd(home, child, ports)
    while (!xinetd.log.includes(`Started working: ${ports.size} available`)) {
      if (child.exitCode !== null) throw new Error(`xinetd ended:\n${xinetd.log}`)
      await delay(20)
    }
    return xinetd
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
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    await exited
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

/** xinetd cannot be asked for a port of the system's choice. */
const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
