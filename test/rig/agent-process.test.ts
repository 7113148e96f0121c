import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, test } from '@jest/globals'

import { AgentProcess } from './agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from './guard.ts'
import { plainEnvironment } from './run-program.ts'

const scratch = makeGuardedDirectory('agent-rig-test')
afterAll(() => removeGuardedDirectory(scratch))

const DIRECTORY = join(scratch, 'data')
mkdirSync(DIRECTORY)
writeFileSync(join(DIRECTORY, 'ibdata1'), 'x')
const OPTIONS = ['--engine', 'directory', '--directory', DIRECTORY]

const isAlive = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== ''
  } catch {
    return false
  }
}

describe('an agent in a process of its own', () => {
  test('listens where it says, and has ended when stop returns', async () => {
    const agent = await AgentProcess.start(OPTIONS)
    const socket = connect(agent.port, agent.host)
    await once(socket, 'connect')
    socket.destroy()

    const end = await agent.stop()

    expect(agent.address).toBe(`127.0.0.1:${agent.port}`)
    expect(end).toEqual({ exitCode: 0, killedBy: null })
    expect(isAlive(agent.pid)).toBe(false)
    expect(agent.stdout).toBe('')
  })

  test('hands out its log, what was logged before and what comes', async () => {
    const agent = await AgentProcess.start(OPTIONS)

    const before = await agent.logged('listening')
    const coming = agent.logged(({ msg }) => msg === 'told to stop')
    await agent.stop()

    expect(before).toMatchObject({ host: '127.0.0.1', port: agent.port })
    expect(await coming).toMatchObject({ signal: 'SIGTERM' })
    expect(agent.logs.length).toBeGreaterThanOrEqual(2)
  })

  test('says why it did not start', async () => {
    const start = AgentProcess.start(['--engine', 'directory', '--directory', join(scratch, 'nowhere')])

    await expect(start).rejects.toThrow(/the agent ended \(status \d+\) before .*listening[\s\S]*nowhere/)
  })

  test('does not wait for ever for a line that cannot come any more', async () => {
    const agent = await AgentProcess.start(OPTIONS)

    const never = agent.logged('the moon is full')
    await Promise.all([agent.stop('SIGKILL'), expect(never).rejects.toThrow('the agent ended (SIGKILL)')])
  })

  test('is killed with the process that started it', async () => {
    const script = `
      import { AgentProcess } from ${JSON.stringify(new URL('./agent-process.js', import.meta.url).href)}
      console.log((await AgentProcess.start(JSON.parse(process.argv[1]))).pid)
      process.stdin.resume()`
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', script, JSON.stringify(OPTIONS)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: plainEnvironment(),
    })
    owner.stderr.resume()
    const [pid] = await once(createInterface({ input: owner.stdout }), 'line')
    const before = isAlive(Number(pid))

    owner.kill('SIGKILL')
    await once(owner, 'close') // the guard shares its standard error, so it has ended as well

    expect({ before, after: isAlive(Number(pid)) }).toEqual({ before: true, after: false })
  })
})
