// The small server of the tests, made with the official TypeScript SDK 2.4, which speaks both eras unless told otherwise.
// Its own HTTP handler keeps no sessions, and it has no HTTP+SSE any more.
//
//   node server_ts.mjs [--modern-only]            over stdio
//   node server_ts.mjs --listen [--modern-only]   over Streamable HTTP; prints one JSON line with its url once it listens
import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { acceptedContent, createMcpHandler, inputRequired, inputResponse, McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';
import { listen, said, world } from './world.mjs';

const legacy = process.argv.includes('--modern-only') ? 'reject' : undefined;
// Where changes are told to the listeners of 2026-07-28; over stdio the server itself does that.
let notify;

function build() {
    const capabilities = { logging: {}, resources: { subscribe: true, listChanged: true }, tools: { listChanged: true } };
    const mcp = new McpServer({ name: 'server_ts', version: '2.4.0' }, { capabilities });
    const tool = (name, fields, run) => mcp.registerTool(name, { description: name, inputSchema: z.object(fields) }, run);

    tool('echo', { message: z.string() }, ({ message }) => said(message));
    tool('steps', { key: z.string(), count: z.number().default(1) }, async ({ key, count }, { mcpReq }) => {
        const progressToken = mcpReq._meta?.progressToken;
        const report = async progress => {
            if (progressToken === undefined) return;
            await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, ...progress } });
        };
        return said(await world.steps(report, key, count, mcpReq.signal));
    });
    tool('open', { key: z.string() }, ({ key }) => said(world.open(key)));
    tool('ended', { key: z.string() }, async ({ key }, { mcpReq }) => said(await world.ended(key, mcpReq.signal)));
    // Asked by a result that says what is missing; for the earlier revisions the SDK makes a question of it.
    tool('sample', {}, (_, { mcpReq }) => {
        const answer = inputResponse(mcpReq.inputResponses, 'model');
        if (answer.kind === 'sampling') return said(answer.result.content.text);
        const messages = [{ role: 'user', content: { type: 'text', text: 'What?' } }];
        return inputRequired({ inputRequests: { model: inputRequired.createMessage({ messages, maxTokens: 10 }) } });
    });
    tool('elicit', {}, (_, { mcpReq }) => {
        const requestedSchema = z.object({ name: z.string() });
        const answer = acceptedContent(mcpReq.inputResponses, 'user', requestedSchema);
        if (answer) return said(`hello, ${answer.name}`);
        const user = inputRequired.elicit({ message: 'What is your name?', requestedSchema });
        return inputRequired({ inputRequests: { user } });
    });
    tool('visit', {}, (_, { mcpReq }) => {
        const answer = inputResponse(mcpReq.inputResponses, 'user');
        if (answer.kind === 'elicit') return said(answer.action ?? answer.result?.action);
        const user = inputRequired.elicitUrl({ message: 'Look at this.', url: 'https://example.com/page' });
        return inputRequired({ inputRequests: { user } });
    });
    tool('roots', {}, (_, { mcpReq }) => {
        const answer = inputResponse(mcpReq.inputResponses, 'roots');
        if (answer.kind === 'roots') return said((answer.roots ?? answer.result?.roots)[0].uri);
        return inputRequired({ inputRequests: { roots: inputRequired.listRoots() } });
    });
    tool('log', {}, async (_, { mcpReq }) => {
        await mcpReq.log('info', 'a line');
        return said('logged');
    });
    tool('touch', {}, async () => {
        if (notify) notify.resourceUpdated('test://greeting');
        else await mcp.server.sendResourceUpdated({ uri: 'test://greeting' });
        return said('touched');
    });
    tool('grow', {}, async () => {
        if (notify) notify.toolsChanged();
        else await mcp.server.sendToolListChanged();
        return said('grown');
    });
    tool('measure', { text: z.string() }, ({ text }) => said(String(text.length)));
    tool('fill', { size: z.number() }, ({ size }) => said('x'.repeat(size)));

    mcp.registerResource('greeting', 'test://greeting', { mimeType: 'text/plain' }, uri => ({
        contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'hello' }],
    }));
    mcp.registerPrompt('review', { argsSchema: z.object({ code: z.string() }) }, ({ code }) => ({
        messages: [{ role: 'user', content: { type: 'text', text: `Review this: ${code}` } }],
    }));
    mcp.server.setRequestHandler('resources/subscribe', () => ({}));
    return mcp;
}

if (process.argv.includes('--listen')) {
    const handler = createMcpHandler(build, legacy ? { legacy } : {});
    notify = handler.notify;
    const handle = toNodeHandler(handler);
    listen(createServer((request, response) => void handle(request, response)), { url: '/mcp' });
} else {
    serveStdio(build, legacy ? { legacy } : {});
}
