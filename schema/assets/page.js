// GraphiQL against this very server: queries and mutations by HTTP, subscriptions by WebSocket, both with the token that
// stands in the headers editor. A subscription opens a socket of its own, so that it always goes with the present token.
'use strict';

const starting = `# 考评 Kaoping
#
# 1. 先登录取得令牌（左下角“Variables”旁）。 First sign in and take the token.
# 2. 在“Headers”里填写： Then write into "Headers":
#      {"Authorization": "Bearer 令牌/TOKEN"}
# 3. 查询、变更和订阅都会带上它。 Queries, mutations and subscriptions carry it.

mutation SignIn($input: SignInInput!) {
  signIn(input: $input) {
    __typename
    ... on SignInSuccess { token }
    ... on Error { code message hint }
  }
}
`;

const httpUrl = new URL('/graphql', location.href);
const socketUrl = new URL('/graphql', location.href);
socketUrl.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';

function authorization(headers) {
  const name = Object.keys(headers || {}).find((each) => each.toLowerCase() === 'authorization');
  return name ? { authorization: headers[name] } : {};
}

let present = {};
const sockets = {
  subscribe(payload, sink) {
    const client = graphqlWs.createClient({
      url: socketUrl.href,
      connectionParams: { ...authorization(present), 'accept-language': navigator.language },
      retryAttempts: 0,
    });
    const stop = client.subscribe(payload, sink);
    return () => { stop(); client.dispose(); };
  },
};

const send = GraphiQL.createFetcher({ url: httpUrl.href, wsClient: sockets });

ReactDOM.render(
  React.createElement(GraphiQL, {
    fetcher: (params, options) => {
      present = (options && options.headers) || {};
      return send(params, options);
    },
    defaultQuery: starting,
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false,
  }),
  document.getElementById('graphiql'),
);
