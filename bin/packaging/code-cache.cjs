#!/usr/bin/env node
/**
 * Leaves compiled code beside the core of the agent, so that a process of inetd need not compile it again.
 *
 *     node /usr/lib/kv-backup-agent/dist/programs/code-cache.cjs
 *
 * Run by whoever installs the programs, and again after another Node has come: what does not fit is not used. The core
 * answers one greeting in a second process, and what was compiled for that is kept; the file gets its name when it is
 * whole. Nobody else's cache is ever read or written: see `load-core.cjs`.
 */

const { spawn } = require('node:child_process')
const { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } = require('node:fs')
const { connect, createServer } = require('node:net')
const { tmpdir } = require('node:os')
const { dirname, join } = require('node:path')
const { Script } = require('node:vm')

const CORE = join(__dirname, 'parts/core.cjs')
const GREETING = '0.77.0\n1\naction=ping\n\n'

/** The second process: an agent whose client waits on standard input. Its arguments are those of an agent. */
const serveOnce = () => {
  const Module = module.constructor
  const script = new Script(readFileSync(CORE, 'latin1'), { filename: CORE })
  const core = new Module(CORE, module)
  core.filename = CORE
  core.paths = module.paths
  Module._cache[CORE] = core
  script.runInThisContext()(core.exports, (id) => core.require(id), core, CORE, dirname(CORE))
  process.once('exit', (status) => {
    if (status !== 0) return
    writeFileSync(`${CORE}.cache.part`, script.createCachedData())
    chmodSync(`${CORE}.cache.part`, 0o644) // whatever the umask: those who run it are others
    renameSync(`${CORE}.cache.part`, `${CORE}.cache`)
  })
  core.exports.run_agent_exports.runAgent(process.argv)
}

/** The first process: inetd and client at once. */
const greet = () => {
  const place = mkdtempSync(join(tmpdir(), 'kv-backup-agent-code-'))
  const config = join(place, 'agent.toml')
  writeFileSync(config, '', { mode: 0o600 })
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    server.close()
    const options = ['--config', config, '--engine', 'directory', '--directory', place, '--no-history', '--log', 'none']
    const child = spawn(process.execPath, [__filename, 'inetd', ...options], { stdio: [socket, 'ignore', 'inherit'] })
    socket.destroy() // the child has it now
    child.once('exit', (status) => {
      rmSync(place, { recursive: true })
      process.exitCode = status ?? 1
    })
  })
  server.listen(0, '127.0.0.1', () =>
    connect(server.address().port, '127.0.0.1', function () {
      this.end(GREETING)
    }).resume(),
  )
}

if (process.argv[2] === 'inetd') serveOnce()
else greet()
