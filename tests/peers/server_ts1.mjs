// The small server of the tests, made with the official TypeScript SDK 1.32, which knows only the earlier revisions.
//
//   node server_ts1.mjs             over stdio
//   node server_ts1.mjs --listen    over Streamable HTTP and HTTP+SSE; prints one JSON line with both urls
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { SubscribeRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { listen, said, world } from './world.mjs';

function build() {
    const capabilities = { logging: {}, resources: { subscribe: true, listChanged: true }, tools: { listChanged: true } };
    const mcp = new McpServer({ name: 'server_ts1', version: '1.32' }, { capabilities });
    const tool = (name, inputSchema, run) => mcp.registerTool(name, { description: name, inputSchema }, run);

    tool('echo', { message: z.string() }, ({ message }) => said(message));
    tool('steps', { key: z.string(), count: z.number().default(1) }, async ({ key, count }, extra) => {
        const progressToken = extra._meta?.progressToken;
        const report = async progress => {
            if (progressToken === undefined) return;
            await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, ...progress } });
        };
        return said(await world.steps(report, key, count, extra.signal));
    });
    tool('open', { key: z.string() }, ({ key }) => said(world.open(key)));
    tool('ended', { key: z.string() }, async ({ key }, extra) => said(await world.ended(key, extra.signal)));
    // Asked in relation to the call, as `extra.sendRequest` does; `mcp.server.createMessage` would use the GET stream.
    tool('sample', {}, async (_, { requestId }) => {
        const messages = [{ role: 'user', content: { type: 'text', text: 'What?' } }];
        const answer = await mcp.server.createMessage({ messages, maxTokens: 10 }, { relatedRequestId: requestId });
        return said(answer.content.text);
    });
    tool('elicit', {}, async () => {
        const requestedSchema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
        const answer = await mcp.server.elicitInput({ message: 'What is your name?', requestedSchema });
        return said(`hello, ${answer.content.name}`);
    });
    tool('visit', {}, async (_, { requestId }) => {
        const page = { mode: 'url', message: 'Look at this.', url: 'https://example.com/page', elicitationId: 'page' };
        return said((await mcp.server.elicitInput(page, { relatedRequestId: requestId })).action);
    });
    tool('roots', {}, async (_, { requestId }) => {
        return said((await mcp.server.listRoots({}, { relatedRequestId: requestId })).roots[0].uri);
    });
    tool('log', {}, async (_, extra) => {
        await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data: 'a line' } });
        return said('logged');
    });
    tool('touch', {}, async () => {
        await mcp.server.sendResourceUpdated({ uri: 'test://greeting' });
        return said('touched');
    });
    tool('grow', {}, async () => {
        mcp.sendToolListChanged();
        return said('grown');
    });
    tool('measure', { text: z.string() }, ({ text }) => said(String(text.length)));
    tool('fill', { size: z.number() }, ({ size }) => said('x'.repeat(size)));

    mcp.registerResource('greeting', 'test://greeting', { mimeType: 'text/plain' }, uri => ({
        contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'hello' }],
    }));
    mcp.registerPrompt('review', { argsSchema: { code: z.string() } }, ({ code }) => ({
        messages: [{ role: 'user', content: { type: 'text', text: `Review this: ${code}` } }],
    }));
    mcp.server.setRequestHandler(SubscribeRequestSchema, () => ({}));
    return mcp;
}

const sessions = new Map();

async function streamable(request, response) {
    let transport = sessions.get(request.headers['mcp-session-id']);
    if (!transport && request.headers['mcp-session-id']) {
        response.writeHead(404).end();
        return;
    }
    if (!transport) {
        transport = new StreamableHTTPServerTransport({
            sessionIdGenerator: randomUUID,
            onsessioninitialized: id => sessions.set(id, transport),
        });
        await build().connect(transport);
    }
    await transport.handleRequest(request, response);
}

async function sse(response) {
    const transport = new SSEServerTransport('/messages', response);
    sessions.set(transport.sessionId, transport);
    await build().connect(transport);
}

async function serve(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://here');
    if (pathname === '/mcp') return streamable(request, response);
    if (pathname === '/sse') return sse(response);
    const transport = sessions.get(searchParams.get('sessionId'));
    if (pathname === '/messages' && transport) return transport.handlePostMessage(request, response);
    response.writeHead(404).end();
}

if (process.argv.includes('--listen')) {
    listen(createServer((request, response) => void serve(request, response)), { url: '/mcp', sse: '/sse' });
} else {
    await build().connect(new StdioServerTransport());
}
