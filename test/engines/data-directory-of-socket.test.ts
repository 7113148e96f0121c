import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { dataDirectoryOfSocket } from '../../lib/engines/data-directory-of-socket.ts'
import { findServerLock } from '../../lib/engines/server-lock.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'

let server: ThrowawayServer
let locks: string

beforeAll(async () => {
  server = await ThrowawayServer.start()
  locks = mkdtempSync(join(tmpdir(), 'locks-'))
})
afterAll(async () => {
  await server.discard()
  rmSync(locks, { recursive: true })
})

test('the server that listens on a socket shows its data directory', async () => {
  expect(await dataDirectoryOfSocket(server.socket)).toBe(realpathSync(server.dataDirectory))
})

test('agents with different state directories meet there', async () => {
  expect(await findServerLock({ socket: server.socket, lockDirectory: locks })).toBe(realpathSync(server.dataDirectory))
})

test('where nobody listens nothing is known, and the lock is a file', async () => {
  const socket = join(locks, 'nobody.sock')

  expect(await dataDirectoryOfSocket(socket)).toBeUndefined()
  expect(await findServerLock({ socket, lockDirectory: locks })).toMatch(/server-[0-9a-f]{32}\.lock$/)
})

test('an option file may name another socket, so its server is not guessed', async () => {
  expect(await findServerLock({ defaultsFile: join(locks, 'my.cnf'), lockDirectory: locks })).toMatch(/\.lock$/)
})
