# sle_crp with its default priors, below a limit in part. Rscript crp_stan.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

d <- by_subject(table_of("crp"))
data <- list(n = d$n, n_rows = d$rows, subject = d$subject, later = d$later, crp = d$table$crp_mg_dl,
             censored = as.integer(d$table$crp_mg_dl_censored == "True"), treated = as.numeric(d$arm == "treated"))
found <- sampled("crp", list(data), c("mean_level", "time_course", "effect", "sd_patient", "sd_residual"))
write_reference("crp_stan", "same priors", by_stan(), found[[1]], c("rstan", "posterior"))
