/* SPDX-License-Identifier: Apache-2.0 */
/* Repeat each line of its input. Linked statically: no loader, so nothing is preloaded. */
#include <unistd.h>

int main(void)
{
    char text[256];
    ssize_t got;
    while ((got = read(0, text, sizeof(text))) > 0)
        if (write(1, text, (size_t)got) != got)
            return 1;
    return 0;
}
