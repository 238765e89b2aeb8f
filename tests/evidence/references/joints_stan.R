# sle_joints with its default priors. Rscript joints_stan.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

d <- by_subject(table_of("joints"))
data <- list(n = d$n, n_rows = d$rows, subject = d$subject, later = d$later, joints = as.matrix(d$table[, c("tender_joints", "swollen_joints")]),
             treated = as.numeric(d$arm == "treated"))
found <- sampled("joints", list(data), c("mean_level", "time_course", "effect", "sd_patient", "overdispersion"))
write_reference("joints_stan", "same priors", by_stan(), found[[1]], c("rstan", "posterior"))
