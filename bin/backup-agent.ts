#!/usr/bin/env node
/** Hands the command line of `backup-agent` to the room `cli`, nothing else. */

import { agentProgram, runProgram } from '../lib/cli/index.ts'

process.exitCode = await runProgram(agentProgram(), process.argv)
