/* SPDX-License-Identifier: Apache-2.0 */
/* Find the nodes of the devices; see node_scan.h. */
#include "node_scan.h"

#include "core/gpu/nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Wait this long for the child: where nothing is held it is done by then. */
#define WAIT_MS   100
#define PIECE_MAX 4096

const char *const node_scan_directories[NODE_SCAN_DIRECTORIES] = {"/dev", "/dev/dri", "/dev/accel"};

/* -- the child --------------------------------------------------------------------------------- */

struct finding {
    struct scanned_nodes *nodes;
    uint32_t device;
};

static int add_node(void *context, const char *path, bool shared)
{
    struct finding *finding = context;
    struct scanned_nodes *nodes = finding->nodes;
    struct scanned_node *node = NULL;
    if (strlen(path) >= sizeof(node->path))
        return 0;
    for (size_t i = 0; i < nodes->count && !node; i++)
        if (!strcmp(nodes->node[i].path, path))
            node = &nodes->node[i];
    if (!node && nodes->count == NODE_SCAN_MAX)
        return 0;
    if (!node) {
        node = &nodes->node[nodes->count++];
        *node = (struct scanned_node){.own = !shared};
        strcpy(node->path, path);
    }
    node->devices[finding->device / 64] |= UINT64_C(1) << finding->device % 64;
    return 0;
}

static size_t size_of(const struct scanned_nodes *nodes)
{
    return offsetof(struct scanned_nodes, node) + nodes->count * sizeof(nodes->node[0]);
}

/* In pieces: a message is smaller than what a socket takes. */
static int answer(int socket, const struct scanned_nodes *nodes)
{
    const char *data = (const char *)nodes;
    ssize_t length = 0;
    for (size_t at = 0, size = size_of(nodes); at < size; at += (size_t)length) {
        length = write(socket, data + at, size - at < PIECE_MAX ? size - at : PIECE_MAX);
        if (length <= 0)
            return -EIO;
    }
    return 0;
}

static int find(void *context, int socket)
{
    const struct node_scan *scan = context;
    struct scanned_nodes *nodes = scan->next;
    struct finding finding = {.nodes = nodes};
    struct stat st;
    nodes->directories = 0;
    nodes->count = 0;
    for (size_t i = 0; i < NODE_SCAN_DIRECTORIES; i++)
        if (!stat(node_scan_directories[i], &st))
            nodes->directories |= 1u << i;
    for (; finding.device < scan->device_count; finding.device++)
        gpu_nodes(&scan->devices[finding.device], NULL, add_node, &finding);
    gpu_nodes_reopened(NULL, &nodes->reopened);
    return answer(socket, nodes);
}

/* -- the parent -------------------------------------------------------------------------------- */

/* Read the answer to its end, waiting up to limit_ms for each piece. */
static int receive(struct node_scan *scan, int limit_ms)
{
    ssize_t length;
    do {
        length = child_read(&scan->child, (char *)scan->next + scan->got,
                            sizeof(*scan->next) - scan->got, limit_ms);
        scan->got += length > 0 ? (size_t)length : 0;
    } while (length > 0 || length == -EINTR);
    return (int)length;
}

int node_scan_run(struct node_scan *scan, struct scanned_nodes *ret_nodes)
{
    if (!scan->next)
        scan->next = calloc(1, sizeof(*scan->next));
    int r = scan->next ? 0 : -ENOMEM, limit_ms = scan->child.pid ? 0 : WAIT_MS;
    if (!r && !scan->child.pid) {
        scan->got = 0;
        r = child_start(find, scan, NULL, 0, &scan->child);
    }
    if (!r)
        r = receive(scan, limit_ms);
    if (r)
        return r;
    r = child_wait(&scan->child, -1);
    child_leave(&scan->child);
    if (!r && (scan->got < offsetof(struct scanned_nodes, node) ||
               scan->next->count > NODE_SCAN_MAX || scan->got != size_of(scan->next)))
        r = -EIO;
    if (!r)
        memcpy(ret_nodes, scan->next, scan->got);
    return r;
}
