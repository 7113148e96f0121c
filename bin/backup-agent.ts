#!/usr/bin/env node
/** Hands the command line of `backup-agent` to the room `cli`, nothing else. Under inetd, a client's socket is rescued first. */

import { releaseClientSocket } from '../lib/cli/client-descriptors.ts'

if (process.argv[2] === 'inetd') releaseClientSocket()
void import('../lib/cli/run-agent.ts').then(({ runAgent }) => runAgent(process.argv))
