#!/usr/bin/env node
/** Hands the command line of `backup-client` to the room `cli`, nothing else. */

import { clientProgram, exitWith, runProgram } from '../lib/cli/index.ts'

void exitWith(runProgram(clientProgram(), process.argv))
