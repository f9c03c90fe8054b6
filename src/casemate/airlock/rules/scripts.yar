// Scripts that fetch or start something, in any file: droppers, tools of the system turned against it, web shells,
// reverse shells. Each needs several signs together, so that a text about them is not taken for one.

rule powershell_dropper
{
    meta:
        description = "PowerShell that runs what it hides or fetches"
    strings:
        $encoded = /powershell(\.exe)?["']?\s[^\r\n]{0,200}-e(c|nc|ncodedcommand)?\s+["']?[a-z0-9+\/]{40}/ ascii wide nocase
        $fetched = /\(\s*New-Object\s+(System\.)?Net\.WebClient\s*\)\s*\.\s*Download(String|File|Data)\s*\(/ ascii wide nocase
        $run = /(IEX|Invoke-Expression|Start-Process|powershell)[\s(&|]/ ascii wide nocase
    condition:
        $encoded or ($fetched and $run)
}

rule vba_dropper
{
    meta:
        description = "a macro that starts by itself and reaches for the system"
    strings:
        $sub = /(Sub|Function)\s+(Auto_?Open|Auto_?Exec|Auto_?Close|Document_Open|Workbook_Open|DocumentOpen)\s*\(/ ascii wide nocase
        $shell = /(CreateObject\s*\(\s*"?(WScript\.Shell|Shell\.Application|MSXML2\.|Microsoft\.XMLHTTP|ADODB\.Stream)|URLDownloadToFile|\sShell\s*\()/ ascii wide nocase
    condition:
        all of them
}

rule system_tool_as_dropper
{
    meta:
        description = "a tool of Windows told to fetch or start something"
    strings:
        $certutil = /certutil(\.exe)?["']?\s[^\r\n]{0,80}-(urlcache|decode|decodehex)\s/ ascii wide nocase
        $bitsadmin = /bitsadmin(\.exe)?["']?\s+\/transfer\s/ ascii wide nocase
        $mshta = /mshta(\.exe)?["']?\s+["']?(https?:|vbscript:|javascript:)/ ascii wide nocase
        $regsvr32 = /regsvr32(\.exe)?["']?\s[^\r\n]{0,80}\/i:\s*https?:[^\r\n]{0,200}scrobj/ ascii wide nocase
        $rundll32 = /rundll32(\.exe)?["']?\s+javascript:/ ascii wide nocase
    condition:
        any of them
}

rule web_shell
{
    meta:
        description = "a web shell: code that runs what a visitor sends"
    strings:
        $php = /(eval|assert|system|passthru|shell_exec|popen|proc_open)\s*\(\s*(@?\s*base64_decode\s*\(\s*|@?\s*stripslashes\s*\(\s*)?@?\$_(GET|POST|REQUEST|COOKIE|SERVER)\s*\[/ nocase
        $php_by_name = /\$_(GET|POST|REQUEST|COOKIE)\s*\[[^\]]{1,40}\]\s*\(\s*\$_(GET|POST|REQUEST|COOKIE)\s*\[/ nocase
        $jsp = /getRuntime\s*\(\s*\)\s*\.\s*exec\s*\(\s*request\s*\.\s*getParameter\s*\(/
        $asp = /(eval|execute)\s*\(?\s*request\s*(\.\s*item\s*)?[\[(]\s*["']/ nocase
    condition:
        any of them
}

rule reverse_shell
{
    meta:
        description = "a reverse shell: a command line handed to another machine"
    strings:
        $bash = /(ba|z|k)?sh\s+-i\s*[>&0-9|<\s]{1,6}\/dev\/(tcp|udp)\/[^\s\/]{1,80}\/\d{1,5}/
        $exec = /exec\s+\d{1,3}<>\s*\/dev\/tcp\/[^\s\/]{1,80}\/\d{1,5}/
        $netcat = /\b(nc|ncat|netcat)(\.exe)?\s[^\r\n]{0,80}-(e|c)\s*["']?(\/bin\/(ba|da|z)?sh|cmd(\.exe)?|powershell)/
        $fifo = /mkfifo\s+\/tmp\/[^\r\n]{1,120}sh\s+-i[^\r\n]{1,60}\b(nc|ncat|netcat|openssl)\s/
        $perl = /use\s+Socket;[^\r\n]{1,300}exec\s*\(?\s*["'{(]*\/bin\/(ba)?sh\s+-i/
        $python_dup = /dup2\s*\(\s*[a-z_]{1,20}\.fileno\s*\(\s*\)\s*,\s*[012]\s*\)/
        $python_shell = /["']\/bin\/(ba|da|z)?sh["']|pty\.spawn\s*\(/
    condition:
        $bash or $exec or $netcat or $fifo or $perl or ($python_dup and $python_shell)
}
