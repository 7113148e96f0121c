#!/usr/bin/env node
/** Hands the command line of `backup-client` to the room `cli`, nothing else. */

import { clientProgram, runProgram } from '../lib/cli/index.ts'

process.exitCode = await runProgram(clientProgram(), process.argv)
