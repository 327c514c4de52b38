/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaves device nodes as a daemon does that died with its gate on: for the cases.
 *
 * usage: gate-closer STATE_DIR UID NODE...
 */
#include "core/gate/gate.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    char sentence[GATE_SENTENCE_MAX];
    struct gate_node nodes[16];
    struct gate *gate;
    size_t count = 0;

    if (argc < 4 || argc > 19)
        return 2;
    const uint32_t uid = (uint32_t)strtoul(argv[2], NULL, 10);
    const struct gate_options options = {.state_dir = argv[1]};
    for (int i = 3; i < argc; i++)
        nodes[count++] = (struct gate_node){.path = argv[i], .uids = &uid, .uid_count = 1};
    int r = gate_new(&options, &gate, sentence, sizeof(sentence));
    if (r == 0) {
        r = gate_apply(gate, nodes, count, sentence, sizeof(sentence));
        gate_free(gate);
    }
    if (r != 0)
        fprintf(stderr, "%s\n", sentence);
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
