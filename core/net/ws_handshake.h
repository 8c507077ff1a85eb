/* The opening handshake of a WebSocket, server side (RFC 6455, 4.2). */
#pragma once

#include "net/conn.h"

enum { WS_ACCEPT_TEXT_SIZE = 29 }; /* 20 bytes as base64 and a NUL */

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key. -ENOMEM. */
int ws_accept_text(struct str key, char out[WS_ACCEPT_TEXT_SIZE]);
/* Answers 101 and returns true, or ends the request with a problem and returns false. */
bool ws_handshake(struct http_request *req);
