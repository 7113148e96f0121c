/**
 * A real stunnel, as it stands beside a deployed client: in clear on this side, TLS to the agent, its name checked.
 *
 *     const stunnel = await Stunnel.start({ port: agent.port, ca, name: 'localhost' })
 *     stunnel.port
 *     await stunnel.stop()
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { freePort } from './free-port.ts'
import { forgetProcess, makeGuardedDirectory, removeGuardedDirectory, watchProcess } from './guard.ts'
import { plainEnvironment } from './run-program.ts'

export interface StunnelOptions {
  /** Of the agent. */
  readonly port: number
  readonly ca: string
  readonly name: string
  readonly cert?: string
  readonly key?: string
}

export class Stunnel {
  readonly #home: string
  readonly #process: ChildProcess
  readonly port: number

  private constructor(home: string, child: ChildProcess, port: number) {
    this.#home = home
    this.#process = child
    this.port = port
  }

  static async start({ port, ca, name, cert, key }: StunnelOptions): Promise<Stunnel> {
    const home = makeGuardedDirectory('stunnel')
    const own = await freePort()
    const file = join(home, 'stunnel.conf')
    const identity = cert === undefined ? '' : `cert = ${cert}\nkey = ${key}\n`
    writeFileSync(
      file,
      `foreground = yes
pid =
debug = notice
[agent]
client = yes
accept = 127.0.0.1:${own}
connect = 127.0.0.1:${port}
verifyChain = yes
checkHost = ${name}
CAfile = ${ca}
${identity}`,
    )
    const child = spawn('stunnel', [file], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: plainEnvironment(),
      detached: true,
    })
    if (child.pid === undefined) throw (await once(child, 'error'))[0]
    watchProcess(child.pid, 'stunnel')
    const said: string[] = []
    const ready = new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        said.push(line)
        if (line.includes('Configuration successful')) resolve()
      })
      child.once('exit', () => reject(new Error(`stunnel ended:\n${said.join('\n')}`)))
    })
    await ready
    return new Stunnel(home, child, own)
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    await exited
    forgetProcess(this.#process.pid ?? 0)
    await removeGuardedDirectory(this.#home)
  }
}
