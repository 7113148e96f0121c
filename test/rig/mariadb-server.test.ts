import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, test } from '@jest/globals'

import { makeGuardedDirectory, removeGuardedDirectory } from './guard.ts'
import { ThrowawayServer } from './mariadb-server.ts'
import { plainEnvironment } from './run-program.ts'
import { quoteName, quoteText } from './sql-text.ts'

const scratch = makeGuardedDirectory('rig-test')
afterAll(() => removeGuardedDirectory(scratch))

/** A zombie's command line is empty; a process that is gone has none. */
const isAlive = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== ''
  } catch {
    return false
  }
}

describe('a throw-away server', () => {
  test('answers queries, and gives values back as they were', async () => {
    const server = await ThrowawayServer.start({ directory: scratch })
    const odd = 'tab\there, line\nhere, \\ and \\n, quote \' and ", ü, 漢'

    const rows = await server.query(`SELECT 1, NULL; SELECT ${quoteText(odd)} AS ${quoteName('a `name`')};`)

    expect(rows).toEqual([['1', 'NULL'], [odd]])
    await server.discard()
  })

  test('tells what the server says about a bad statement', async () => {
    const server = await ThrowawayServer.start({ directory: scratch })

    const answer = server.query('SELECT nonsense FROM nowhere.nothing')

    await expect(answer).rejects.toThrow(/Unknown database 'nowhere'|doesn't exist[\s\S]*in: SELECT nonsense/)
    await server.discard()
  })

  test('still has its rows after a kill -9, on the same data and on a copy', async () => {
    const server = await ThrowawayServer.start({ directory: scratch })
    await server.query('CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY) ENGINE=InnoDB; INSERT d.t VALUES (7);')
    const copy = join(scratch, 'copy')

    await server.kill9()
    cpSync(server.dataDirectory, copy, { recursive: true })
    await server.restart()
    const second = await ThrowawayServer.startOn(copy, { directory: scratch })

    expect(await server.query('SELECT id FROM d.t')).toEqual([['7']])
    expect(await second.query('SELECT id FROM d.t')).toEqual([['7']])
    await Promise.all([server.discard(), second.discard()])
    expect(existsSync(copy)).toBe(true) // it was not the server's own
  })

  test('keeps its data when it is stopped, and leaves nothing when it is discarded', async () => {
    const parent = join(scratch, 'parent')
    mkdirSync(parent)
    const server = await ThrowawayServer.start({ directory: parent })
    const { pid } = server

    await server.stop()
    const stopped = { alive: isAlive(pid), running: server.isRunning, data: readdirSync(server.dataDirectory) }
    await server.discard()

    expect(stopped).toEqual({ alive: false, running: false, data: expect.arrayContaining(['ibdata1', 'mysql']) })
    expect(readdirSync(parent)).toEqual([])
  })

  test('lets its backup user in with the password, and not without', async () => {
    const server = await ThrowawayServer.start({ directory: scratch, binaryLog: true })
    const password = `pa'ss"wo\\rd`

    await server.createBackupUser('backup', password)

    const grants = await server.queryValue(`SHOW GRANTS FOR backup@localhost`)
    const asBackup = ['--no-defaults', `--socket=${server.socket}`, '--user=backup', '-e', 'SELECT 1']
    expect(grants).toMatch(/RELOAD, PROCESS/)
    expect((await runClient([...asBackup, `--password=${password}`])).code).toBe(0)
    expect((await runClient([...asBackup, '--password=other'])).code).toBe(1)
    expect(await server.queryValue('SELECT @@log_bin')).toBe('1')
    await server.discard()
  })

  test('shows the end of its log when it cannot start', async () => {
    const start = ThrowawayServer.start({ directory: scratch, options: ['--no-such-option'] })

    await expect(start).rejects.toThrow(/mariadbd did not start, it ended[\s\S]*no-such-option/)
  })
})

describe('a process that started a server leaves neither server nor directory', () => {
  const SCRIPT = `
    import { ThrowawayServer } from ${JSON.stringify(new URL('./mariadb-server.js', import.meta.url).href)}
    const server = await ThrowawayServer.start({ directory: process.argv[1] })
    console.log(server.pid)
    process.stdin.once('data', (how) => {
      if (String(how) === 'exit') process.exit(3)
      if (String(how) === 'throw') throw new Error('a test that failed')
    })`

  test.each([
    ['when it exits early', 'exit'],
    ['when it throws', 'throw'],
    ['when it is interrupted', 'SIGINT'],
    ['when it is terminated', 'SIGTERM'],
    ['when it is killed', 'SIGKILL'],
  ])('%s', async (_, how) => {
    const parent = join(scratch, `ends-by-${how}`)
    mkdirSync(parent)
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', SCRIPT, parent], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: plainEnvironment(),
    })
    owner.stderr.resume()
    const [line] = await once(createInterface({ input: owner.stdout }), 'line')
    const pid = Number(line)
    const before = { alive: isAlive(pid), directories: readdirSync(parent).length }

    if (how.startsWith('SIG')) owner.kill(how as NodeJS.Signals)
    else owner.stdin.write(how)
    await once(owner, 'close') // the guard shares its standard error, so it has ended as well

    expect(before).toEqual({ alive: true, directories: 1 })
    expect({ alive: isAlive(pid), directories: readdirSync(parent).length }).toEqual({ alive: false, directories: 0 })
  })
})

const runClient = async (options: string[]): Promise<{ code: number }> => {
  const client = spawn('mariadb', options, { stdio: 'ignore' })
  const [code] = await once(client, 'close')
  return { code }
}
