// A small server made with the official TypeScript SDK 2.4, which speaks both eras unless told otherwise.
//
//   node server_ts.mjs [--modern-only]            over stdio
//   node server_ts.mjs --listen [--modern-only]   over Streamable HTTP; prints one JSON line with its url once it listens
import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

const legacy = process.argv.includes('--modern-only') ? 'reject' : undefined;

function build() {
    const server = new McpServer({ name: 'server_ts', version: '2.4.0' });
    server.registerTool(
        'echo',
        { description: 'Says what it is told.', inputSchema: z.object({ message: z.string() }) },
        ({ message }) => ({ content: [{ type: 'text', text: message }] }),
    );
    server.registerResource('greeting', 'test://greeting', { mimeType: 'text/plain' }, uri => ({
        contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'hello' }],
    }));
    server.registerPrompt('review', { argsSchema: z.object({ code: z.string() }) }, ({ code }) => ({
        messages: [{ role: 'user', content: { type: 'text', text: `Review this: ${code}` } }],
    }));
    return server;
}

if (process.argv.includes('--listen')) {
    const handle = toNodeHandler(createMcpHandler(build, legacy ? { legacy } : {}));
    const http = createServer((request, response) => void handle(request, response));
    http.listen(0, '127.0.0.1', () => {
        const url = `http://127.0.0.1:${http.address().port}/mcp`;
        process.stdout.write(`${JSON.stringify({ fact: 'listening', url })}\n`);
    });
} else {
    serveStdio(build, legacy ? { legacy } : {});
}
