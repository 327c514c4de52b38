/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leave device nodes restricted, as a daemon does that died with device access control on.
 *
 * usage: acl-closer STATE_DIR UID NODE...
 */
#include "core/devacl/devacl.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct message message;
    struct devacl_node nodes[16];
    struct devacl *devacl;
    size_t count = 0;

    if (argc < 4 || argc > 19)
        return 2;
    const uint32_t uid = (uint32_t)strtoul(argv[2], NULL, 10);
    const struct devacl_options options = {.state_dir = argv[1]};
    for (int i = 3; i < argc; i++)
        nodes[count++] = (struct devacl_node){.path = argv[i], .uids = &uid, .uid_count = 1};
    int r = devacl_new(&options, &devacl, &message);
    if (!r) {
        r = devacl_apply(devacl, nodes, count, &message);
        devacl_free(devacl);
    }
    if (r)
        fprintf(stderr, "%s\n", message.text);
    return !r ? EXIT_SUCCESS : EXIT_FAILURE;
}
