/**
 * The situations in which the sessions of `fixtures/wire` are recorded and replayed.
 *
 * Each is a real agent with something real behind it: a small directory with fixed
 * times, a backup that is running already, a backup program that gives up. The program
 * is a stand-in that says what mariadb-backup says; everything else is the product.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import type { AgentSettings, Role } from '../../lib/config/index.ts'
import { type JobEnd, Journal } from '../../lib/history/index.ts'
import { addToken, hashOf } from '../../lib/tokens/index.ts'
import { endChunk, payloadChunk } from '../archive/xbstream-writer.ts'
import { AGENT_PROGRAM as PROGRAM } from '../rig/agent-process.ts'
import { forgetProcess, makeGuardedDirectory, removeGuardedDirectory, watchProcess } from '../rig/guard.ts'
import { rawClient } from '../rig/raw-client.ts'

/** What `{password}` stands for in every session here: the one of the protocol text's example. */
export const PASSWORD = 's3cUre'

/** What `{token}` stands for: the one of the protocol text's examples. Here it gives the role `nightly`. */
export const TOKEN = 'kvb_pLf7qGDBSfM2Xx470VzGATipXB363NII2oyofDtVjVh0EDUuj'

/** How an agent is run: in this process, as the library does it, or as the program. */
export type Running = 'in this process' | 'as a program'

/** An agent in some situation, ready for sessions. */
export interface Stage {
  readonly host: string
  readonly port: number
  /** What this machine alone has, for the recorder. */
  readonly hide: readonly string[]
  /** Tells the world behind the agent that it has begun to answer: some things happen only then. */
  answered(): void
  leave(): Promise<void>
}

export const SITUATIONS = {
  /** A stopped server's directory. */
  directory: async (running: Running): Promise<Stage> => {
    const scratch = makeGuardedDirectory('wire')
    return stage(running, scratch, { engine: 'directory', directory: smallDirectory(scratch) })
  },

  /** A stopped server's directory, and a history that other processes have written: of each outcome one. */
  remembered: async (running: Running): Promise<Stage> => {
    const scratch = makeGuardedDirectory('wire')
    await writeHistory(join(scratch, 'state'))
    return stage(running, scratch, { engine: 'directory', directory: smallDirectory(scratch) })
  },

  /** Clients need a role: one is given by a token, the other to an address from which nobody asks. */
  roles: async (running: Running): Promise<Stage> => {
    const scratch = makeGuardedDirectory('wire')
    const tokensFile = join(scratch, 'tokens')
    const token = { role: 'nightly', createdMs: 0, expiresMs: undefined, revokedMs: undefined, hash: hashOf(TOKEN) }
    await addToken(tokensFile, { ...token, name: 'example' })
    const roles: Record<string, Role> = {
      nightly: { actions: ['backup', 'status', 'verdict'] },
      deployed: { addresses: ['192.0.2.0/24'], withoutToken: true },
    }
    return stage(running, scratch, { engine: 'directory', directory: smallDirectory(scratch), roles, tokensFile })
  },

  /** Whoever asks from this host may make backups and see them, without a token: the decision for deployed clients. */
  addresses: async (running: Running): Promise<Stage> => {
    const scratch = makeGuardedDirectory('wire')
    const roles: Record<string, Role> = {
      deployed: { actions: ['backup', 'monitor'], addresses: ['127.0.0.0/8'], withoutToken: true },
    }
    return stage(running, scratch, { engine: 'directory', directory: smallDirectory(scratch), roles })
  },

  /** A backup is running, and its client does not read: larger than all buffers between two sockets, it cannot end. */
  busy: async (running: Running): Promise<Stage> => {
    const scratch = makeGuardedDirectory('wire')
    const directory = smallDirectory(scratch)
    truncateSync(join(directory, 'ibdata1'), 64 * 1024 * 1024)
    const busy = await stage(running, scratch, { engine: 'directory', directory })
    const first = await rawClient(busy.port, busy.host)
    first.socket.write(REQUEST)
    await first.hasReceived(1)
    first.socket.pause()
    return {
      ...busy,
      leave: async () => {
        first.socket.destroy()
        await busy.leave()
      },
    }
  },

  /** The program is refused by the server: not one byte of a backup. */
  'engine-fails-before-first-byte': async (running: Running): Promise<Stage> => {
    const scratch = makeGuardedDirectory('wire')
    return stage(running, scratch, { engine: 'mariadb-backup' }, standIn(scratch, Buffer.alloc(0), LOGIN_REFUSED))
  },

  /** The program gives up after two whole tables, when the client has begun to receive. */
  'engine-fails-in-the-stream': async (running: Running): Promise<Stage> => {
    const scratch = makeGuardedDirectory('wire')
    const tables = ['orders', 'items'].flatMap((name) => [
      payloadChunk(`./shop/${name}.ibd`, 0, Buffer.alloc(TABLE_BYTES, name)),
      endChunk(`./shop/${name}.ibd`),
    ])
    const programs = standIn(scratch, Buffer.concat(tables), REDO_OVERRUN)
    const failing = await stage(running, scratch, { engine: 'mariadb-backup' }, programs)
    return { ...failing, answered: () => writeFileSync(join(programs, 'answered'), '') }
  },
} as const

export type SituationName = keyof typeof SITUATIONS

/** Fixed times. The one that runs is a job of this process, which is not the agent. */
const writeHistory = async (directory: string): Promise<void> => {
  let ids = 0
  let nowMs = Date.parse('2024-03-11T01:00:00Z')
  const newId = (): string => {
    ids += 1
    return `id-${ids}`
  }
  const journal = await Journal.open({ directory, now: () => nowMs, newId })
  const start = async (sid: string, level: 0 | 1): Promise<string> => {
    const job = newId()
    const requested = { action: 'copy from', 'backup-level': level }
    await journal.append({ event: 'started', job, sid, peer: '192.0.2.7:51234', engine: 'mariadb-backup', requested })
    nowMs += 116_500
    return job
  }
  const end = async (job: string, end: JobEnd): Promise<void> => {
    await journal.append({ event: 'ended', job, ...end })
    nowMs += HOUR_MS
  }
  await end(await start('monday', 0), { outcome: 'delivered', bytes: 734_003_200, members: 412 })
  await end(await start('tuesday', 1), { outcome: 'sent-unconfirmed', bytes: 7_340_032, members: 398 })
  const msg = 'the database refused the login:\nAccess denied'
  await end(await start('wednesday', 1), { outcome: 'failed', code: 'ENGINE_LOGIN', msg, bytes: 0, members: 0 })
  await end(await start('wednesday', 0), { outcome: 'cancelled', code: 'JOB_CANCELLED', bytes: 1_048_576, members: 7 })
  await start('thursday', 0)
  await journal.close()
}

const HOUR_MS = 3_600_000

/** Two such tables are more than an agent keeps back for quiet times, so a part of them leaves. */
const TABLE_BYTES = 4 * 1024 * 1024

const REQUEST = '0.76.1\n3\naction=copy from\nbackup-level=0\nfile=ZRM_LINKS\n\n'

/** Fixed bytes, fixed times: sizes and order of the archive are the same on every machine. */
const smallDirectory = (scratch: string): string => {
  const directory = join(scratch, 'data')
  mkdirSync(join(directory, 'shop'), { recursive: true })
  writeFileSync(join(directory, 'ibdata1'), Buffer.alloc(30_000, 'ibdata'))
  writeFileSync(join(directory, 'aria_log_control'), Buffer.alloc(52, 1))
  writeFileSync(join(directory, 'shop', 'orders.ibd'), Buffer.alloc(12_345, 'orders'))
  writeFileSync(join(directory, 'shop', 'empty.MYD'), '')
  writeFileSync(join(directory, 'shop', 'caf\u00e9 prices.MYI'), Buffer.alloc(1024, 2))
  const fixed = new Date('2011-03-04T00:50:33Z')
  for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    utimesSync(join(directory, path), fixed, fixed)
  }
  return directory
}

// Words of mariadb-backup 10.11.19.
const LOGIN_REFUSED =
  "Failed to connect to MariaDB server: Access denied for user 'backupdb'@'localhost' (using password: YES)."
const REDO_OVERRUN =
  'mariabackup: error: Was only able to copy log from 1000 to 2000, not 3000; try increasing innodb_log_file_size'

/**
 * @returns the directory to look for programs in: there mariadb-backup writes `output`, says `words` and exits with 1.
 *   With an output it does so when a file `answered` appears, or after a second where nobody makes one.
 */
const standIn = (scratch: string, output: Buffer, words: string): string => {
  const programs = join(scratch, 'programs')
  mkdirSync(programs)
  writeFileSync(join(programs, 'output'), output)
  writeFileSync(join(programs, 'words'), `[00] 2011-03-04 00:50:33 ${words}\n`)
  const program = join(programs, 'mariadb-backup')
  writeFileSync(
    program,
    `#!/bin/sh
# Stands in for mariadb-backup in a test of the wire: some output, some words, exit status 1.
case " $* " in
  *' --version '*) echo 'mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)'; exit 0 ;;
esac
cd '${programs}' || exit 2
rm -f answered
cat output
[ -s output ] && for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  [ -e answered ] && break
  sleep 0.05
done
cat words >&2
exit 1
`,
  )
  chmodSync(program, 0o755)
  return programs
}

const stage = async (
  running: Running,
  scratch: string,
  settings: Partial<AgentSettings>,
  programs?: string,
): Promise<Stage> => {
  const path = [...(programs === undefined ? [] : [programs]), '/usr/bin', '/bin'].join(':')
  // A history of its own, and with it a lock of its own: other agents of this machine are not in the way.
  const own = { ...settings, stateDirectory: join(scratch, 'state') }
  const agent = running === 'as a program' ? await startProgram(own, path) : await startInside(own, path)
  return {
    host: agent.host,
    port: agent.port,
    hide: [scratch],
    answered: () => undefined,
    leave: async () => {
      await agent.stop()
      await removeGuardedDirectory(scratch)
    },
  }
}

type Stoppable = Pick<RunningAgent, 'host' | 'port' | 'stop'>

const startInside = async (settings: Partial<AgentSettings>, path: string): Promise<Stoppable> => {
  const before = process.env['PATH']
  process.env['PATH'] = path // where the engine is looked for; the agent reads it when it starts
  try {
    return await startAgent({ ...settings, host: '127.0.0.1', port: 0, seconds: { drain: 0 } })
  } finally {
    process.env['PATH'] = before
  }
}

const startProgram = async (
  { engine = 'auto', directory, stateDirectory, roles, tokensFile }: Partial<AgentSettings>,
  path: string,
): Promise<Stoppable> => {
  const configuration = roles === undefined ? [] : ['--config', writeRoles(String(stateDirectory), roles)]
  const tokens = tokensFile === undefined ? [] : ['--tokens-file', tokensFile]
  const options = ['--listen', '127.0.0.1:0', '--engine', engine, '--drain-seconds', '0']
  const source = directory === undefined ? [] : ['--directory', directory]
  const history = stateDirectory === undefined ? ['--no-history'] : ['--state-dir', stateDirectory]
  const child = spawn(
    process.execPath,
    [PROGRAM, 'serve', ...options, ...source, ...history, ...configuration, ...tokens],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: path },
    },
  )
  const { pid } = child
  if (pid === undefined) throw new Error('backup-agent did not start')
  watchProcess(pid, 'backup-agent')
  const { host, port } = await listening(child)
  return {
    host,
    port,
    stop: async () => {
      const closed = once(child, 'close')
      child.kill('SIGTERM')
      await closed
      forgetProcess(pid)
    },
  }
}

/** A configuration with nothing but roles. */
const writeRoles = (stateDirectory: string, roles: Readonly<Record<string, Role>>): string => {
  const file = `${stateDirectory}.toml`
  const tables = Object.entries(roles).map(([name, { actions, addresses, withoutToken = false }]) =>
    [
      `[role.${name}]`,
      ...(actions === undefined ? [] : [`actions = ${JSON.stringify(actions)}`]),
      ...(addresses === undefined ? [] : [`addresses = ${JSON.stringify(addresses)}`]),
      `without-token = ${withoutToken}`,
    ].join('\n'),
  )
  writeFileSync(file, `${tables.join('\n')}\n`, { mode: 0o640 })
  return file
}

/** Waits for the log line that says where the agent listens; the rest of the log is read and thrown away. */
const listening = (child: ChildProcess): Promise<{ host: string; port: number }> =>
  new Promise((resolve, reject) => {
    const said: string[] = []
    if (child.stderr === null) throw new Error('no standard error')
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line)
      if (!line.startsWith('{')) return // its last words, when it cannot start
      const { msg, host, port } = JSON.parse(line) as { msg: string; host: string; port: number }
      if (msg === 'listening') resolve({ host, port })
    })
    child.once('close', () => reject(new Error(`backup-agent ended before it listened: ${said.join('\n')}`)))
  })

// The sessions themselves

export const SESSION_DIRECTORY = fileURLToPath(new URL('../../../fixtures/wire/', import.meta.url))

export interface SessionFile {
  readonly name: string
  readonly file: string
  readonly situation: SituationName
}

/** Every session file, and the situation that a comment in it names. */
export const sessionFiles = (): readonly SessionFile[] =>
  readdirSync(SESSION_DIRECTORY)
    .filter((name) => name.endsWith('.session'))
    .sort()
    .map((name) => {
      const file = join(SESSION_DIRECTORY, name)
      const situation = /^# situation: (\S+)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? ''
      if (!Object.hasOwn(SITUATIONS, situation)) throw new Error(`${name}: expected a comment "situation: NAME"`)
      return { name: name.replace('.session', ''), file, situation: situation as SituationName }
    })
