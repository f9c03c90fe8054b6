// Code that waits in a model's files to be run by whoever loads them: pickles that call the system, wherever in a file
// they begin; templates that climb out of their sandbox; layers that carry Python.

rule pickle_that_calls_the_system
{
    meta:
        description = "a pickle that calls the system when it is loaded"
    strings:
        $text = /c(__builtin__|builtins|os|posix|nt|subprocess|commands|runpy|pty|webbrowser|shutil|socket)\n(exec|eval|execfile|compile|open|__import__|system|popen|Popen|execv|spawn|run|call|check_output|check_call|getoutput|run_path|rmtree|socket|getattr)\n/
        $unicode = /\x8c[\x02-\x0b](__builtin__|builtins|os|posix|nt|subprocess|commands|runpy|pty|webbrowser|shutil|socket)(\x94)?\x8c[\x03-\x0c](exec|eval|execfile|compile|__import__|system|popen|Popen|execv|spawn|run|call|check_output|check_call|getoutput|run_path|rmtree|socket)(\x94)?\x93/
    condition:
        any of them
}

rule python_that_hides
{
    meta:
        description = "Python that runs what it hides or fetches"
    strings:
        $hidden = /(exec|eval)\s*\(\s*(__import__\s*\(\s*["'](base64|zlib|marshal|codecs|bz2)["']\s*\)|base64|zlib|marshal|codecs|bz2)\s*\.\s*(b64decode|b85decode|decompress|loads|decode)\s*\(/
        $system = /__import__\s*\(\s*["'](os|subprocess|pty|socket)["']\s*\)\s*\.\s*(system|popen|Popen|run|call|check_output|spawn|socket)\s*\(/
        $fetched = /(exec|eval)\s*\(\s*(urllib\.request\.urlopen|urlopen|requests\.get)\s*\(/
    condition:
        any of them
}

rule template_that_climbs
{
    meta:
        description = "a template that climbs from a value to Python itself"
    strings:
        $classes = /__(class|base|bases|mro)__[^\r\n]{0,80}__subclasses__/
        $globals = /\{[\{%][^\r\n]{0,200}__(init|self|call|code)__[^\r\n]{0,80}__(globals|builtins)__/
        $builtins = /\{[\{%][^\r\n]{0,200}__(globals|builtins)__[^\r\n]{0,80}(__import__|popen|system|eval|exec)/
    condition:
        any of them
}

rule keras_layer_with_code
{
    meta:
        description = "a Keras layer that carries Python code"
    strings:
        $lambda = /"class_name"\s*:\s*"Lambda"/
        $code = /"(code|function)"\s*:\s*(\[\s*)?"4w[A-Za-z0-9+\/]{20}/
    condition:
        all of them
}
