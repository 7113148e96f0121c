/**
 * The directories of one agent under test, and the question what it has left in them.
 *
 *     home/temporary   its TMPDIR: runtime directory, cwd of its children
 *     home/spool       parts, and what is spilled for slow readers
 *     home/state       the history
 */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { AGENT_PROGRAM, type AgentCircumstances, AgentProcess } from '../rig/agent-process.ts'
import { mustRun, plainEnvironment } from '../rig/run-program.ts'
import { everythingBelow } from './host-look.ts'
import type { Product } from './product.ts'

/** A job as `backup-agent history --json` prints it. */
export interface HistoryRow {
  readonly sid: string
  readonly state: string
  readonly code?: string
  readonly bytes?: number
  readonly sha256?: string
}

export interface HomeDirectories {
  readonly spool?: string
  readonly state?: string
}

/** What belongs into a state directory: the journal, and the files whose locks keep two backups of one server apart. */
const STATE = /^(history-\d+\.jsonl|server-[0-9a-f]{32}\.lock)$/

export class AgentHome {
  readonly path: string
  readonly temporary: string
  readonly spool: string
  readonly state: string
  readonly #product: Product

  /** @param elsewhere directories that are not to be below `path` */
  constructor(path: string, product: Product, elsewhere: HomeDirectories = {}) {
    this.path = path
    this.#product = product
    this.temporary = made(join(path, 'temporary'))
    this.spool = elsewhere.spool ?? made(join(path, 'spool'))
    this.state = elsewhere.state ?? made(join(path, 'state'))
  }

  /** @param options what follows the directories on the command line of `serve` */
  start(
    options: readonly string[],
    { environment = {}, launcher = [] }: AgentCircumstances = {},
  ): Promise<AgentProcess> {
    const directories = ['--spool-dir', this.spool, ...(this.#product.history ? ['--state-dir', this.state] : [])]
    return AgentProcess.start([...directories, ...options], {
      environment: { ...plainEnvironment(), TMPDIR: this.temporary, ...environment },
      launcher,
    })
  }

  /**
   * The history as the agent's own command tells it.
   *
   * @param launcher what starts the command: in another mount namespace, say
   */
  async history(launcher: readonly string[] = []): Promise<readonly HistoryRow[]> {
    const command = [process.execPath, AGENT_PROGRAM, 'history', '--json', '--state-dir', this.state]
    const [program = '', ...words] = [...launcher, ...command]
    const { stdout } = await mustRun(program, words)
    return (JSON.parse(stdout.toString()) as { jobs: HistoryRow[] }).jobs
  }

  /** Files and directories that nobody needs any more once no agent runs here. */
  leftovers(): string[] {
    return [
      ...everythingBelow(this.temporary).map((name) => `temporary/${name}`),
      ...everythingBelow(this.spool).map((name) => `spool/${name}`),
      ...everythingBelow(this.state)
        .filter((name) => !STATE.test(name))
        .map((name) => `state/${name}`),
    ]
  }
}

const made = (path: string): string => {
  mkdirSync(path, { mode: 0o700, recursive: true })
  return path
}
