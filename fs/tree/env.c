/* SPDX-License-Identifier: Apache-2.0 */
/* Print what a shell sources to run inside a partition; see env.h. */
#include "env.h"

#include "files.h"

#include <stdio.h>
#include <string.h>

/* Single quotes: only another single quote needs escaping inside them. */
static void print_quoted(const char *value, struct strbuf *out)
{
    strbuf_add(out, "'", 1);
    for (const char *at = value;;) {
        size_t length = strcspn(at, "'");
        strbuf_add(out, at, length);
        at += length;
        if (!*at++)
            break;
        strbuf_add(out, "'\\''", 4);
    }
    strbuf_add(out, "'", 1);
}

/* Put the layer first, once: the layers behind it see only what it lets through. */
static void print_layer(const char *layer, struct strbuf *out)
{
    strbuf_print(out, "case \":${OPENCL_LAYERS-}:\" in *:");
    print_quoted(layer, out);
    strbuf_print(out, ":*) ;; *) OPENCL_LAYERS=");
    print_quoted(layer, out);
    strbuf_print(out, "${OPENCL_LAYERS:+:$OPENCL_LAYERS} ;; esac\nexport OPENCL_LAYERS\n");
}

void env_print(struct tree *tree, const struct partition *partition, struct strbuf *out)
{
    bool allow = engine_policy(tree->engine)->unreachable == POLICY_UNREACHABLE_ALLOW;
    char below[64], path[sizeof(tree->shared->mount_point) + sizeof(below) + 8];
    snprintf(below, sizeof(below), "/gpu%u/p%llu", (unsigned)partition->shares[0].device,
             (unsigned long long)partition->id);
    snprintf(path, sizeof(path), "%s%s", tree->shared->mount_point, below);
    strbuf_print(out, "export CHRONOS_PARTITION=");
    print_quoted(path, out);
    strbuf_print(out, "\nexport CHRONOS_UNREACHABLE=%s\n", allow ? "allow" : "refuse");
    if (*tree->shared->layer)
        print_layer(tree->shared->layer, out);
    /* Last, so that sourcing returns its exit status. */
    snprintf(path, sizeof(path), "%s%s/procs", tree->shared->mount_point, below);
    strbuf_print(out, "echo 0 >| "); /* >| also works under set -C */
    print_quoted(path, out);
    strbuf_print(out, "\n");
}
