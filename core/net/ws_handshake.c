/* The opening handshake of a WebSocket: what must be in the request, and the answer that proves it was read.
 *
 * SHA-1 by the low-level functions, as in base/digest.c: EVP_Digest() of OpenSSL 3.0 crashes when there is no
 * memory for it. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "net/ws_handshake.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

enum { KEY_SIZE = 24 };

int ws_accept_text(struct str key, char out[WS_ACCEPT_TEXT_SIZE])
{
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[SHA_DIGEST_LENGTH];
	SHA_CTX context;

	if (key.n != KEY_SIZE)
		return -EINVAL;
	SHA1_Init(&context);
	SHA1_Update(&context, key.p, KEY_SIZE);
	SHA1_Update(&context, magic, sizeof magic - 1);
	SHA1_Final(digest, &context);
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof digest);
	return 0;
}

/* 16 bytes as base64. */
static bool is_key(struct str key)
{
	unsigned char bytes[KEY_SIZE];

	if (key.n != KEY_SIZE || key.p[21] == '=' || memcmp(key.p + 22, "==", 2) != 0)
		return false;
	return EVP_DecodeBlock(bytes, (const unsigned char *)key.p, KEY_SIZE) > 0;
}

static void answer_upgrade_required(struct http_request *req)
{
	http_add_header(req, "Upgrade", "websocket");
	http_add_header(req, "Connection", "Upgrade");
	http_add_header(req, "Sec-WebSocket-Version", "13");
	http_problem(req, 426, "This address speaks WebSocket version 13.");
}

bool ws_handshake(struct http_request *req)
{
	struct str key = http_header(req, "Sec-WebSocket-Key");
	char accept[WS_ACCEPT_TEXT_SIZE];
	bool ok = false;

	if (!req->guard.wants_websocket || !str_is(http_header(req, "Sec-WebSocket-Version"), "13"))
		answer_upgrade_required(req);
	else if (!is_key(key))
		http_problem(req, 400, "Sec-WebSocket-Key is not 16 bytes as base64.");
	else if (!request_is_same_origin(req))
		http_problem(req, 403, "WebSockets from pages of another origin are refused.");
	else if (ws_accept_text(key, accept) < 0)
		http_problem(req, 503, "The server is out of memory.");
	else
		ok = true;
	if (!ok)
		return false;
	http_add_header(req, "Upgrade", "websocket");
	http_add_header(req, "Connection", "Upgrade");
	http_add_header(req, "Sec-WebSocket-Accept", accept);
	if (reply_head(req, 101, NULL, 0))
		return true;
	req->must_close = true;
	http_problem(req, 503, "The server is out of memory.");
	return false;
}
