// Programs where data should be. A file that is a program from its first byte is refused by its type; these find the
// program that hides further inside: appended to a picture, stored among weights, embedded in a document.

rule eicar_test_file
{
    meta:
        description = "the EICAR test file, which stands for a virus"
    strings:
        // In hexadecimal, so that no antivirus takes this file away.
        $eicar = { 58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35 34 28 50 5E 29 37 43 43 29 37 7D 24 45 49 43 41 52 }
    condition:
        $eicar
}

rule windows_program_inside
{
    meta:
        description = "a Windows program inside"
    strings:
        $dos_stub = { 4D 5A [40-200] 54 68 69 73 20 70 72 6F 67 72 61 6D 20 (63 61 6E 6E 6F 74 | 6D 75 73 74) 20 62 65 20 72 75 6E }
        $portable = { 50 45 00 00 (4C 01 | 64 86 | 64 AA | C4 01 | C0 01) }
    condition:
        $dos_stub and $portable
}

rule linux_program_inside
{
    meta:
        description = "a Linux program inside"
    strings:
        $little = { 7F 45 4C 46 (01 | 02) 01 01 [9] (01 | 02 | 03) 00 (03 | 28 | 3E | B7 | F3) 00 01 00 00 00 }
        $big = { 7F 45 4C 46 (01 | 02) 02 01 [9] 00 (01 | 02 | 03) 00 (08 | 14 | 15 | 16 | 2B) 00 00 00 01 }
    condition:
        any of them
}

rule apple_program_inside
{
    meta:
        description = "a macOS program inside"
    strings:
        $thin = { (CE | CF) FA ED FE (07 | 0C) 00 00 (00 | 01) [4] (02 | 06 | 08) 00 00 00 }
    condition:
        any of them
}

rule android_or_web_program_inside
{
    meta:
        description = "a program for Android or WebAssembly inside"
    strings:
        $dex = { 64 65 78 0A 30 33 (35 | 36 | 37 | 38 | 39) 00 [24] 70 00 00 00 78 56 34 12 }
        $wasm = { 00 61 73 6D 01 00 00 00 01 }
    condition:
        any of them
}

rule windows_shortcut_inside
{
    meta:
        description = "a Windows shortcut inside, which starts what it points to"
    strings:
        $link = { 4C 00 00 00 01 14 02 00 00 00 00 00 C0 00 00 00 00 00 00 46 }
    condition:
        $link
}
